"""
What an iteration costs inside Prefect, beside the bare client's own loop; see README.md.

    python -m benchmarks.iteration [--quick] [--json] [--keep]
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from statistics import mean, median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks._results import Measured, Options, part_of, run
from benchmarks._servers import Service, prefect_server, service
from demo import record
from tests.harness.waiting import happened

if TYPE_CHECKING:
    from benchmarks._loops import Timeline

WHOSE = ("bare", "ours")
SPREAD = 0.2
WARM_UP_ITERATIONS = 6
"""The fewest that COBYLA takes."""
RECORD_SECONDS = 10.0


@dataclass(frozen=True)
class Point:
    """One point of the grid, and how it is measured."""

    job_seconds: float
    round_trip_seconds: float
    iterations: int = 100
    pairs: int = 3

    @property
    def name(self) -> str:
        """Name it for people."""
        return f"{self.job_seconds:g} s jobs, {self.round_trip_seconds * 1000:g} ms away"


FULL = (
    # What is measured at the same time stands in one row: jobs that mostly wait.
    (Point(3.0, 0.005, pairs=1), Point(3.0, 0.04, pairs=1)),
    (Point(1.0, 0.005, pairs=1), Point(1.0, 0.04, pairs=1)),
    (Point(0.15, 0.005),),
    (Point(0.15, 0.04),),
)
QUICK = ((Point(0.15, 0.005, iterations=25, pairs=1),),)


QUANTITIES = ("qpu_idle", "wall", "requests")
"""
What one loop takes per iteration: seconds from the end of a job to the start of the next, by the
emulator's record; from one value's arrival in the loop to the next one's; and requests to the
service, by the line's count.
"""


def measure(options: Options) -> Measured:
    """Measure every point in a process of its own, some at the same time."""
    points: list[dict[str, Any]] = []
    for row in QUICK if options.quick else FULL:
        with ThreadPoolExecutor() as threads:
            points += threads.map(lambda point: part_of("iteration", asdict(point)), row)
    pairs = [point.pop("pairs") for point in points]
    return _figures(points), {"points": points, "pairs": pairs}


def measure_point(asked: dict[str, Any]) -> dict[str, Any]:
    """Measure one point on servers of its own."""
    point = Point(**asked)
    with (
        prefect_server(),
        service(
            point.job_seconds, spread=SPREAD, round_trip_seconds=point.round_trip_seconds
        ) as far,
    ):
        from benchmarks import _loops  # noqa: PLC0415

        backend, credentials, work = _loops.connect(far.environment)

        loops = {
            "bare": partial(_loops.run_bare, backend, work),
            "ours": partial(_loops.run_ours, credentials, work),
        }

        def measured(whose: str, iterations: int = point.iterations) -> dict[str, Any]:
            timeline = _loops.Timeline(far.requests)
            loops[whose](timeline, iterations)
            return _judged(far, timeline)

        # The first jobs pay for imports and connections that no later ones pay for.
        for whose in WHOSE:
            measured(whose, WARM_UP_ITERATIONS)
        pairs = []
        for number in range(point.pairs):
            # Whatever the first leaves for the second, it does so as often either way.
            in_turn = WHOSE if number % 2 == 0 else WHOSE[::-1]
            pairs.append({whose: measured(whose) for whose in in_turn})
            idle = {whose: run["cost"]["qpu_idle"] for whose, run in pairs[-1].items()}
            print(f"{point.name}, pair {number + 1}: QPU idle {idle}", file=sys.stderr)
    return asdict(point) | _summary(pairs) | {"pairs": pairs}


def _judged(far: Service, timeline: "Timeline") -> dict[str, Any]:
    """Return the cost of the loop that has just ended, after a look that it did what it should."""
    story = _last_session(far)
    statuses = [job["status"] for job in story.jobs]
    number = len(timeline.arrivals)
    if statuses != ["Completed"] * number or story.session["ended_by"] != "close":
        raise SystemExit(f"A loop of {number} evaluations went wrong: {story.lines()}")
    jobs = sorted(story.jobs, key=lambda job: float(job["started"]))
    idle = [later["started"] - job["finished"] for job, later in pairwise(jobs)]
    cost = {
        "qpu_idle": mean(idle),
        "wall": (timeline.arrivals[-1] - timeline.arrivals[0]) / (number - 1),
        "requests": (timeline.requests[-1] - timeline.requests[0]) / (number - 1),
    }
    return {"cost": cost, "idle_quartiles": quantiles(idle)}


def _last_session(far: Service) -> record.SessionStory:
    """Read the record of the latest session; its end may be a moment behind its client's."""
    happened(lambda: record.sessions(far.control_url)[-1].session["ended_by"], RECORD_SECONDS)
    return record.sessions(far.control_url)[-1]


def _summary(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what both cost on average, and ours over bare: the pairs' median and spread."""
    told: dict[str, Any] = {"bare": {}, "ours": {}, "ratios": {}}
    for quantity in QUANTITIES:
        for whose in WHOSE:
            told[whose][quantity] = mean(pair[whose]["cost"][quantity] for pair in pairs)
        ratios = [pair["ours"]["cost"][quantity] / pair["bare"]["cost"][quantity] for pair in pairs]
        spread = {"median": median(ratios), "min": min(ratios), "max": max(ratios)}
        told["ratios"][quantity] = spread
    return told


def _figures(points: list[dict[str, Any]]) -> dict[str, float]:
    """Return the worst and the middle of the points, each by the median of its pairs."""
    idle, wall, requests = (
        [point["ratios"][quantity]["median"] for point in points] for quantity in QUANTITIES
    )
    return {
        "qpu_idle_ratio_worst": max(idle),
        "qpu_idle_ratio_median": median(idle),
        "wall_ratio_worst": max(wall),
        "requests_ratio_worst": max(requests),
    }


if __name__ == "__main__":
    run("iteration", measure, quick="one point, one pair of 25 evaluations", part=measure_point)
