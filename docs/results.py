"""Write the results of benchmarks that are kept into their pages: `python -m docs.results`."""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks._results import RESULTS, short

DOCS = Path(__file__).parent
SHOWN = {
    "speed.md": (
        "iteration",
        "peers",
        "packing",
        "overhead",
        "preparing",
        "startup",
        "distributed",
    ),
    "scale.md": ("scale",),
    "endings.md": ("chaos",),
    "jobs.md": ("job_faults",),
    "resuming.md": ("resume",),
    "watching.md": ("visibility",),
    "operations.md": ("reaping",),
    "emulator.md": ("emulator",),
}
"""Which results are on which page."""

GOALS = {
    "iteration": {
        "qpu_idle_ratio_worst": "at most 0.7",
        "wall_ratio_worst": "at most 1.0",
        "requests_ratio_worst": "at most 1.0",
    },
    "peers": {"speedup_without_queue": "at least 2.5"},
    "packing": {"jobs_for_40_evaluations": "1", "speedup_over_sequential": "at least 10"},
    "overhead": {
        "own_ms_per_iteration": "at most 3",
        "growth_10000_over_100": "at most 1.2",
        "memory_growth_mib": "flat",
    },
    "startup": {"import_seconds_over_prefect": "at most 0.15"},
    "distributed": {"sessions": "1", "jobs_submitted_twice": "0", "results_missing": "0"},
    "scale": {
        "sessions_left_open": "0",
        "jobs_not_completed": "0",
        "flow_runs_failed": "0",
        "sessions_reaped": "0",
    },
    "chaos": {
        "sessions_left_open": "0",
        "jobs_left_queued": "0",
        "living_sessions_released": "0",
        "sessions_left_open_after_reaping": "0",
    },
    "job_faults": {
        "jobs_duplicated": "0",
        "results_lost": "0",
        "results_wrong": "0",
        "requests_per_job": "at most the bare client's",
    },
    "resume": {
        "jobs_submitted_twice": "0",
        "energies_that_differ": "0",
        "replay_seconds_500": "under 10",
    },
    "visibility": {"ms_per_iteration_median": "at most 1"},
    "reaping": {"seconds": "under 30"},
    "emulator": {
        "status_ms_median": "at most 1",
        "status_ms_median_while_simulating": "at most 50",
        "jobs_per_second": "200, if the clients can offer them",
        "memory_mib_1000_sessions": "at most 1024",
    },
}

_TABLES = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- end of results -->)", re.DOTALL)


def with_results(name: str) -> str:
    """Return a page with its tables written anew, one for each benchmark that has a result."""
    kept = [RESULTS / f"{benchmark}.json" for benchmark in SHOWN[name]]
    tables = [_table(json.loads(path.read_text())) for path in kept if path.exists()]
    page = (DOCS / name).read_text()
    return _TABLES.sub(lambda _: "\n" + "\n".join(tables), page)


def _table(report: dict[str, Any]) -> str:
    goals = GOALS.get(report["name"], {})
    where = report["measured"]
    changed = " with changes that are not committed" if where["uncommitted_changes"] else ""
    lines = [
        f"### {report['name']}",
        "",
        (
            f"Measured {where['at'][:10]} at commit `{str(where['commit'])[:12]}`{changed}: "
            f"{where['processor']}, {where['cores']} cores, Python {where['python']}, "
            f"Prefect {where['prefect']}, qiskit-ibm-runtime {where['qiskit-ibm-runtime']}; "
            f"load average {where['load_average_at_end']} at the end."
        ),
        "",
        "| figure | measured | goal |",
        "|---|---|---|",
        *(
            f"| `{name}` | {'' if value is None else short(value)} | {goals.get(name, '')} |"
            for name, value in report["figures"].items()
        ),
        "",
    ]
    if report["name"] == "iteration":
        lines += _grid(report["details"]["points"])
    if report["name"] == "chaos":
        lines += _ways(report["details"]["ways"])
    return "\n".join(lines)


def _ways(ways: list[dict[str, Any]]) -> list[str]:
    counted = ("trials", "released", "never_opened", "unused", "reaped", "left_open")
    rows = []
    for way in ways:
        seconds = (way["median_seconds"], way["worst_seconds"])
        cells = [
            way["way"],
            way["place"],
            *(str(way[name]) for name in counted),
            *("" if each is None else f"{each:.2f}" for each in seconds),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    names = [name.replace("_", " ") for name in counted]
    head = ["way", "place", *names, "seconds: median", "worst"]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *sorted(rows), ""]


def _grid(points: list[dict[str, Any]]) -> list[str]:
    rows = []
    for point in points:
        cells = [f"{point['job_seconds']:g} s, {point['round_trip_seconds'] * 1000:g} ms"]
        for quantity in ("qpu_idle", "wall", "requests"):
            cells += [f"{point[whose][quantity]:.3g}" for whose in ("bare", "ours")]
            ratio = point["ratios"][quantity]
            cells.append(f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})")
        rows.append(f"| {' | '.join(cells)} |")
    head = ["jobs, round trip"]
    for quantity in ("QPU idle s", "wall s", "requests"):
        head += [f"{quantity}, bare", "ours", "ratio"]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows, ""]


if __name__ == "__main__":
    for name in SHOWN:
        (DOCS / name).write_text(with_results(name))
