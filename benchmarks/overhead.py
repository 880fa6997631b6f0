"""
What an iteration costs us on a service that takes no time, and whether that grows; see README.md.

    python -m benchmarks.overhead [--quick] [--json] [--keep]
"""

import sys
from functools import partial
from statistics import median
from typing import Any

from benchmarks._results import Measured, Options, part_of, run
from benchmarks._servers import instant_service, prefect_server

LENGTHS = {10: 3, 100: 3, 1000: 1, 10_000: 1}
"""Iterations, and how often they are measured."""
QUICK_LENGTHS = {10: 1, 100: 1, 1000: 1}
SETTLED = 1000
"""Iterations after which memory is taken to be what it stays at."""


def measure(options: Options) -> Measured:
    """Measure each length in processes of its own."""
    lengths = QUICK_LENGTHS if options.quick else LENGTHS
    runs: dict[int, list[dict[str, Any]]] = {length: [] for length in lengths}
    for number in range(max(lengths.values())):
        for length, times in lengths.items():
            if number < times:
                runs[length].append(part_of("overhead", length))
    return _figures(runs), {"runs": runs}


def loops_of(length: int) -> dict[str, Any]:
    """Run each of the three loops so long, on servers of their own."""
    with prefect_server(), instant_service() as near:
        from benchmarks import _loops  # noqa: PLC0415 - Prefect reads its settings at import

        backend, credentials, work = _loops.connect(near.environment)
        # The first job is the one that the others are copies of.
        _loops.repeat_bare(backend, work, 3)
        loops = {
            "prefect": partial(_loops.repeat_prefect, work),
            "bare": partial(_loops.repeat_bare, backend, work),
            "ours": partial(_loops.repeat_ours, credentials, work),
        }
        if length > SETTLED:
            del loops["bare"]
        found = {}
        for name, loop in loops.items():
            loop(3)
            seen = loop(length)
            # The first iteration opens the session.
            seconds = (seen[length][0] - seen[1][0]) / (length - 1)
            memory = {count: mib for count, (_, mib) in seen.items()}
            found[name] = {"ms_per_iteration": 1000 * seconds, "memory_mib": memory}
    print(f"{length} iterations: {found}", file=sys.stderr)
    return found


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
    quick = "up to 1,000 iterations, each length once"
    run("overhead", measure, quick=quick, part=loops_of)
