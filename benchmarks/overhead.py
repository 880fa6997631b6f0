"""
What an iteration costs us on a service that takes no time, and whether that grows.

    python -m benchmarks.overhead [--quick] [--json] [--keep]

The same fixed sequence of evaluations runs in a session flow with one Prefect task each, in the
bare client's own loop, and as a plain Prefect flow whose tasks do nothing. Our own share is what is
left of the first when the other two are taken off. Both loops use the client's legacy Estimator:
the default one prepares a job for 54 ms by itself, in which what is measured would drown. Each
length is a process of its own; the shorter ones are measured several times, in turn. The longest
leaves the bare loop out, which neither grows nor is asked about.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks._memory import resident_mib
from benchmarks._results import finish, parser
from benchmarks._servers import instant_service, prefect_server

LENGTHS = {10: 3, 100: 3, 1000: 1, 10_000: 1}
"""Iterations, and how often they are measured."""
QUICK_LENGTHS = {10: 1, 100: 1, 1000: 1}
SETTLED = 1000
"""Iterations after which memory is taken to be what it stays at."""


def main() -> None:
    """Measure, and print one JSON object last, or the figures alone as lines."""
    options_of_all = parser("overhead", "up to 1,000 iterations, each length once")
    options_of_all.add_argument("--length", type=int, help=argparse.SUPPRESS)
    options = options_of_all.parse_args()
    if options.length:
        print(json.dumps(measure(options.length)))
        return
    lengths = QUICK_LENGTHS if options.quick else LENGTHS
    runs: dict[int, list[dict[str, Any]]] = {length: [] for length in lengths}
    for number in range(max(lengths.values())):
        for length, times in lengths.items():
            if number < times:
                runs[length].append(_alone(length))
    finish({"name": "overhead", "figures": _figures(runs), "details": {"runs": runs}}, options)


def measure(length: int) -> dict[str, Any]:
    """Run each of the three loops so long, on servers of their own."""
    with prefect_server() as wait_for_prefect, instant_service() as near:
        from benchmarks import _loops  # noqa: PLC0415 - Prefect reads its settings at import
        from prefect_qsession import QiskitRuntimeCredentials  # noqa: PLC0415

        backend = _loops.bare_backend(near.environment)
        credentials = QiskitRuntimeCredentials.from_environment(near.environment)
        work = _loops.make_work(backend)
        # The first job is the one that the others are copies of.
        _loops.repeat_bare(backend, work, 3)
        wait_for_prefect()
        loops: dict[str, Callable[[int], list[tuple[float, float]]]] = {
            "prefect": lambda count: _loops.repeat_prefect(work, count, resident_mib),
            "bare": lambda count: _loops.repeat_bare(backend, work, count, resident_mib),
            "ours": lambda count: _loops.repeat_ours(credentials, work, count, resident_mib),
        }
        if length > SETTLED:
            del loops["bare"]
        found = {}
        for name, loop in loops.items():
            loop(3)
            marks = loop(length)
            # The first iteration opens the session.
            seconds = (marks[-1][0] - marks[0][0]) / (length - 1)
            memory = {
                count: mib for count, (_, mib) in zip(_loops.marks(length), marks, strict=True)
            }
            found[name] = {"ms_per_iteration": 1000 * seconds, "memory_mib": memory}
    print(f"{length} iterations: {found}", file=sys.stderr)
    return found


def _alone(length: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.overhead", "--length", str(length)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _figures(runs: dict[int, list[dict[str, Any]]]) -> dict[str, float]:
    def cost(length: int, name: str) -> float:
        return float(median(run[name]["ms_per_iteration"] for run in runs[length]))

    longest, settled = max(runs), min(SETTLED, max(runs))
    memory = runs[longest][-1]
    return {
        "own_ms_per_iteration": median(
            run["ours"]["ms_per_iteration"]
            - run["prefect"]["ms_per_iteration"]
            - run["bare"]["ms_per_iteration"]
            for run in runs[settled]
        ),
        "ours_ms_per_iteration": cost(settled, "ours"),
        "prefect_ms_per_iteration": cost(settled, "prefect"),
        "bare_ms_per_iteration": cost(settled, "bare"),
        f"growth_{longest}_over_100": cost(longest, "ours") / cost(100, "ours"),
        "memory_growth_mib": _growth(memory["ours"]) - _growth(memory["prefect"]),
    }


def _growth(run: dict[str, Any]) -> float:
    """Return what the process has grown by from when it had settled to the end."""
    by_count = {int(count): mib for count, mib in run["memory_mib"].items()}
    settled = max(count for count in by_count if count <= max(by_count) // 2)
    return float(by_count[max(by_count)] - by_count[settled])


if __name__ == "__main__":
    main()
