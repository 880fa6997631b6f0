"""
Flow runs in which what may go wrong does, at random; see README.md.

    python -m benchmarks.histories [--histories 10000] [--first 1] [--lanes 2] [--json] [--keep]
"""

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks._results import Measured, Options, part_of, run
from demo.servers import PrefectServer
from prefect_qsession.emulator import SimulatorPool
from tests.harness.histories.found import Found
from tests.harness.histories.world import SERVER, World
from tests.harness.unsteady_api import UnsteadyAPI

CHUNK = 100
"""Histories of one process."""

Finding = tuple[int, dict[str, int], list[str]]
"""A seed, what was found, and what helps to find the reason."""


def measure(options: Options) -> Measured:
    """Play the histories of the seeds from `first` on."""
    seeds = range(options.first, options.first + options.histories)
    began = time.monotonic()
    found: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="qsession-histories-") as directory:
        home = Path(directory) / "server"
        with PrefectServer(home, **SERVER) as server:
            for each in _played(seeds, server, options.lanes):
                found += each
                seconds = time.monotonic() - began
                wrong = [seed for seed, it, _ in found if any(it.values())]
                print(f"{seconds:>6.0f} s, {len(found):>5}: {wrong}", file=sys.stderr)
    return {name: sum(it[name] for _, it, _ in found) for name in _counts(Found())}, {
        "histories": len(found),
        "first": options.first,
        "seconds": round(time.monotonic() - began),
        "wrong": [
            {"seed": seed, **it, "told": told} for seed, it, told in found if any(it.values())
        ],
    }


def _played(seeds: range, server: PrefectServer, lanes: int) -> Iterator[Iterable[Finding]]:
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    play = partial(_in_a_process, server)
    with ThreadPoolExecutor(lanes) as processes:
        yield from processes.map(play, chunks)


def _in_a_process(server: PrefectServer, seeds: range) -> Iterable[Finding]:
    asked = (server.port, str(server.home), seeds.start, seeds.stop)
    found: list[Finding] = part_of("histories", *asked, environment=server.environment())
    return found


def play_chunk(port: int, home: str, first: int, last: int) -> list[Finding]:
    """Play some histories in this process."""
    with (
        SimulatorPool() as simulators,
        UnsteadyAPI(port) as api,
        World(api, Path(home), simulators) as world,
    ):
        played = ((seed, world.play(seed)) for seed in range(first, last))
        return [(seed, _counts(found), list(found.told)) for seed, found in played]


def _counts(found: Found) -> dict[str, int]:
    return {name: count for name, count in asdict(found).items() if name != "told"}


if __name__ == "__main__":
    run(
        "histories",
        measure,
        part=play_chunk,
        histories=(10000, "how many flow runs"),
        first=(1, "the first seed"),
        lanes=(2, "how many processes"),
    )
