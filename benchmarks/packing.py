"""
One gradient step of a VQE: one job after the other, mapped, and in packs; see README.md.

    python -m benchmarks.packing [--rounds 3] [--quick] [--json] [--keep]
"""

from operator import itemgetter
from statistics import median
from typing import Any

from benchmarks._results import Measured, Options, run
from benchmarks._servers import prefect_server, service

EVALUATIONS = 40
JOB_SECONDS = 1.0
WAYS = ("sequential", "mapped", "packed")


def measure(options: Options) -> Measured:
    """Run the rounds."""
    done: list[dict[str, Any]] = []
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    with prefect_server(), service(JOB_SECONDS) as emulated:
        from benchmarks._gradient import Gradient  # noqa: PLC0415

        gradient = Gradient(emulated.environment, EVALUATIONS)
        seen = 0
        for number in range(1 if options.quick else options.rounds):
            for way in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
                values = gradient.run(way)
                jobs = sorted(emulated.record()["jobs"], key=itemgetter("created"))[seen:]
                seen += len(jobs)
                seconds = max(job["finished"] for job in jobs) - jobs[0]["created"]
                took[way].append(seconds)
                one = {"way": way, "round": number, "jobs": len(jobs), "seconds": seconds}
                done.append(one | {"values": values})
    medians = {way: median(took[way]) for way in WAYS}
    figures = {
        "jobs_for_40_evaluations": max(run["jobs"] for run in done if run["way"] == "packed"),
        "speedup_over_sequential": medians["sequential"] / medians["packed"],
        "speedup_over_mapped": medians["mapped"] / medians["packed"],
        "largest_difference": max(
            abs(value - first)
            for run in done
            for value, first in zip(run["values"], done[0]["values"], strict=True)
        ),
        **{f"seconds_{way}": medians[way] for way in WAYS},
    }
    return figures, {"runs": done}


if __name__ == "__main__":
    run("packing", measure, quick="one round", rounds=(3, "of all three"))
