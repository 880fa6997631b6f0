"""
One gradient step of a VQE: 40 evaluations, one after the other, mapped, and mapped in packs.

    python -m benchmarks.packing [--rounds 3] [--quick] [--json] [--keep]

A round does all three, in turn, in flow runs of their own, against one emulated service of one QPU.
A job takes a second there, however many PUBs it has: what is measured is what each job costs by
itself, not the shots. The service's record says how many jobs there were, and how long it was from
the first submission to the end of the last job.
"""

import statistics
from typing import Any

from benchmarks._results import finish, parser
from benchmarks._servers import Service, prefect_server, service

EVALUATIONS = 40
JOB_SECONDS = 1.0
WAYS = ("sequential", "mapped", "packed")


def main() -> None:
    """Run the rounds, and print one JSON object last, or the figures as a table."""
    options = parser("packing", "one round")
    options.add_argument("--rounds", type=int, default=3, help="of all three")
    asked = options.parse_args()
    finish(measure(1 if asked.quick else asked.rounds), asked)


def measure(rounds: int) -> dict[str, Any]:
    """Return figures and details."""
    done = []
    with prefect_server() as wait_until_up, service(JOB_SECONDS) as emulated:
        wait_until_up()
        # Prefect reads its environment when it is imported.
        from benchmarks._gradient import Gradient  # noqa: PLC0415

        gradient = Gradient(emulated.environment, EVALUATIONS)
        seen = 0
        for number in range(rounds):
            for way in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
                values = gradient.run(way)
                jobs = _jobs(emulated)[seen:]
                seen += len(jobs)
                done.append({"way": way, "round": number, **_summed_up(jobs), "values": values})
    seconds = {way: _median(done, way, "seconds") for way in WAYS}
    figures = {
        "jobs_for_40_evaluations": max(run["jobs"] for run in done if run["way"] == "packed"),
        "speedup_over_sequential": seconds["sequential"] / seconds["packed"],
        "speedup_over_mapped": seconds["mapped"] / seconds["packed"],
        "largest_difference": max(
            abs(value - first)
            for run in done
            for value, first in zip(run["values"], done[0]["values"], strict=True)
        ),
        **{f"seconds_{way}": seconds[way] for way in WAYS},
    }
    return {"name": "packing", "figures": figures, "details": {"runs": done}}


def _jobs(emulated: Service) -> list[dict[str, Any]]:
    return sorted(emulated.record()["jobs"], key=lambda job: float(job["created"]))


def _summed_up(jobs: list[dict[str, Any]]) -> dict[str, Any]:
    began, ended = min(job["created"] for job in jobs), max(job["finished"] for job in jobs)
    return {"jobs": len(jobs), "seconds": ended - began}


def _median(done: list[dict[str, Any]], way: str, figure: str) -> float:
    return float(statistics.median(run[figure] for run in done if run["way"] == way))


if __name__ == "__main__":
    main()
