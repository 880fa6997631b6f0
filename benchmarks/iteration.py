"""
What an iteration costs inside Prefect, beside the bare client's own loop.

    python -m benchmarks.iteration [--quick] [--json] [--keep]

A VQE of 100 evaluations by COBYLA runs in one session by `qiskit_ibm_runtime` alone, and by a
session flow with one Prefect task per evaluation; in pairs and in turn. Jobs take 0.15, 1 and 3 s
with 20 % spread, the service is 5 and 40 ms away. Each point has an emulator, a line to it and a
Prefect server of its own, as processes. The emulator's record judges how long the QPU stood idle
between two jobs, the line counts the requests.
"""

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from statistics import mean, median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks._results import finish, parser
from benchmarks._servers import Service, prefect_server, service
from demo import record

if TYPE_CHECKING:
    from benchmarks._loops import Timeline

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


@dataclass(frozen=True)
class Cost:
    """What one loop took per iteration, times in seconds."""

    qpu_idle: float
    """From the end of a job to the start of the next, by the emulator's record."""
    wall: float
    """From one value's arrival in the loop to the next one's."""
    requests: float
    """To the service, by the line's count."""


@dataclass(frozen=True)
class Run:
    """One loop: its mean cost, and how its idle times were spread."""

    cost: Cost
    idle_quartiles: tuple[float, float, float]


def main() -> None:
    """Measure, and print one JSON object last, or the figures alone as lines."""
    options_of_all = parser("iteration", "one point, one pair of 25 evaluations")
    options_of_all.add_argument("--point", help=argparse.SUPPRESS)
    options = options_of_all.parse_args()
    if options.point:
        print(json.dumps(measure(Point(**json.loads(options.point)))))
        return
    rows = QUICK if options.quick else FULL
    points = [point for row in rows for point in _at_the_same_time(row)]
    finish(
        {"name": "iteration", "figures": _figures(points), "details": {"points": points}}, options
    )


def measure(point: Point) -> dict[str, Any]:
    """Measure one point on servers of its own."""
    with (
        prefect_server() as wait_for_prefect,
        service(
            point.job_seconds, spread=SPREAD, round_trip_seconds=point.round_trip_seconds
        ) as far,
    ):
        # Not at the top: Prefect reads its settings when it is imported.
        from benchmarks import _loops  # noqa: PLC0415
        from prefect_qsession import QiskitRuntimeCredentials  # noqa: PLC0415

        backend = _loops.bare_backend(far.environment)
        credentials = QiskitRuntimeCredentials.from_environment(far.environment)
        work = _loops.make_work(backend)

        def bare(iterations: int = point.iterations) -> Run:
            timeline = _loops.Timeline(far.requests)
            _loops.run_bare(backend, work, timeline, iterations)
            return _judged(far, timeline)

        def ours(iterations: int = point.iterations) -> Run:
            timeline = _loops.Timeline(far.requests)
            _loops.run_ours(credentials, work, timeline, iterations)
            return _judged(far, timeline)

        # The first jobs pay for imports and connections that no later ones pay for.
        bare(WARM_UP_ITERATIONS)
        wait_for_prefect()
        ours(WARM_UP_ITERATIONS)
        pairs = []
        for number in range(point.pairs):
            # Whatever the first leaves for the second, it does so as often either way.
            first, second = (bare, ours) if number % 2 == 0 else (ours, bare)
            runs = {first: first(), second: second()}
            pairs.append({"bare": asdict(runs[bare]), "ours": asdict(runs[ours])})
            idle = {name: run["cost"]["qpu_idle"] for name, run in pairs[-1].items()}
            print(f"{point.name}, pair {number + 1}: QPU idle {idle}", file=sys.stderr)
    return asdict(point) | {"ratios": _ratios(pairs), "pairs": pairs}


def _at_the_same_time(points: tuple[Point, ...]) -> list[dict[str, Any]]:
    """Measure some points, each in a process of its own."""

    def measured(point: Point) -> dict[str, Any]:
        command = [
            sys.executable,
            "-m",
            "benchmarks.iteration",
            "--point",
            json.dumps(asdict(point)),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    with ThreadPoolExecutor() as threads:
        return list(threads.map(measured, points))


def _judged(far: Service, timeline: "Timeline") -> Run:
    """Return the cost of the loop that has just ended, after a look that it did what it should."""
    story = _last_session(far)
    statuses = [job["status"] for job in story.jobs]
    number = len(timeline.arrivals)
    if statuses != ["Completed"] * number or story.session["ended_by"] != "close":
        raise SystemExit(f"A loop of {number} evaluations went wrong: {story.lines()}")
    jobs = sorted(story.jobs, key=lambda job: float(job["started"]))
    idle = [later["started"] - job["finished"] for job, later in pairwise(jobs)]
    cost = Cost(
        qpu_idle=mean(idle),
        wall=(timeline.arrivals[-1] - timeline.arrivals[0]) / (number - 1),
        requests=(timeline.requests[-1] - timeline.requests[0]) / (number - 1),
    )
    quarter, half, three_quarters = quantiles(idle)
    return Run(cost, (quarter, half, three_quarters))


def _last_session(far: Service) -> record.SessionStory:
    """Read the record of the latest session; its end may be a moment behind its client's."""
    deadline = time.monotonic() + RECORD_SECONDS
    while True:
        story = record.sessions(far.control_url)[-1]
        if story.session["ended_by"] or time.monotonic() > deadline:
            return story
        time.sleep(0.1)


def _ratios(pairs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return ours over bare, for each quantity: the median of the pairs, and their spread."""
    found = {}
    for quantity in (each.name for each in fields(Cost)):
        ratios = [pair["ours"]["cost"][quantity] / pair["bare"]["cost"][quantity] for pair in pairs]
        found[quantity] = {"median": median(ratios), "min": min(ratios), "max": max(ratios)}
    return found


def _figures(points: list[dict[str, Any]]) -> dict[str, float]:
    """Return the worst and the middle of the points, each by the median of its pairs."""
    idle, wall, requests = (
        [point["ratios"][quantity]["median"] for point in points]
        for quantity in ("qpu_idle", "wall", "requests")
    )
    return {
        "qpu_idle_ratio_worst": max(idle),
        "qpu_idle_ratio_median": median(idle),
        "wall_ratio_worst": max(wall),
        "requests_ratio_worst": max(requests),
    }


if __name__ == "__main__":
    main()
