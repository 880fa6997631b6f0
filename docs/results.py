"""Write the results of benchmarks that are kept into their pages: `python -m docs.results`."""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks._tables import short

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"
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
}
"""Which results are on which page."""

GOALS = {
    "qpu_idle_ratio_worst": "at most 0.7",
    "wall_ratio_worst": "at most 1.0",
    "requests_ratio_worst": "at most 1.0",
    "speedup_without_queue": "at least 2.5",
    "jobs_for_40_evaluations": "1",
    "speedup_over_sequential": "at least 10",
    "own_ms_per_iteration": "at most 3",
    "growth_10000_over_100": "at most 1.2",
    "memory_growth_mib": "flat",
    "import_seconds_over_prefect": "at most 0.15",
    "sessions": "1",
    "jobs_submitted_twice": "0",
    "results_missing": "0",
    "sessions_left_open": "0",
    "jobs_not_completed": "0",
    "flow_runs_failed": "0",
    "sessions_reaped": "0",
}

_TABLES = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- end of results -->)", re.DOTALL)


def with_results(name: str) -> str:
    """Return a page with its tables written anew, one for each benchmark that has a result."""
    kept = [RESULTS / f"{benchmark}.json" for benchmark in SHOWN[name]]
    tables = [_table(json.loads(path.read_text())) for path in kept if path.exists()]
    page = (DOCS / name).read_text()
    return _TABLES.sub(lambda _: "\n" + "\n".join(tables), page)


def _table(report: dict[str, Any]) -> str:
    where = report["details"]["measured"]
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
            f"| `{name}` | {short(value)} | {GOALS.get(name, '')} |"
            for name, value in report["figures"].items()
        ),
        "",
    ]
    if report["name"] == "iteration":
        lines += _grid(report["details"]["points"])
    return "\n".join(lines)


def _grid(points: list[dict[str, Any]]) -> list[str]:
    rows = []
    for point in points:
        cells = [f"{point['job_seconds']:g} s, {point['round_trip_seconds'] * 1000:g} ms"]
        for quantity in ("qpu_idle", "wall", "requests"):
            for whose in ("bare", "ours"):
                costs = [pair[whose]["cost"][quantity] for pair in point["pairs"]]
                cells.append(f"{sum(costs) / len(costs):.3g}")
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
