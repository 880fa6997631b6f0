"""
What our orchestration costs per iteration, beside the bare client's own loop.

    python -m benchmarks.iteration [--quick] [--json]

The same fixed sequence of parameters is evaluated, one job after the other in one session, by
`qiskit_ibm_runtime` alone and by a session flow with one Prefect task per evaluation. Both run in
this process, in pairs and in turn; the emulator and the Prefect server are processes of their own.
The emulator's record judges how long the QPU stood idle between two jobs.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from itertools import pairwise, takewhile
from socket import socket
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from demo import record

if TYPE_CHECKING:
    from benchmarks._loops import Work

WARM_UP_ITERATIONS = 2
START_SECONDS = 120.0

QUIET = {
    # The flow runs' own logs go to the server, as everyone's do, but not between our lines.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
}


@dataclass(frozen=True)
class Point:
    """How long a job holds the QPU, how many pairs are run, and what its figures' names end in."""

    job_seconds: float
    pairs: int
    suffix: str = ""


@dataclass(frozen=True)
class Plan:
    """What is measured: a sequence of so many iterations at each point."""

    iterations: int
    points: tuple[Point, ...]


FULL = Plan(20, (Point(0.15, pairs=5), Point(1.0, pairs=3, suffix="_1s_jobs")))
QUICK = Plan(8, (Point(0.15, pairs=1),))


@dataclass(frozen=True)
class Cost:
    """What one loop took per iteration, in seconds."""

    qpu_idle: float
    """From the end of a job to the start of the next, by the emulator's record."""
    wall: float
    """From one value's arrival in the loop to the next one's."""
    billed: float
    """The session's usage, its first job and its end included."""


@dataclass(frozen=True)
class Pair:
    """Both loops, run one after the other."""

    bare: Cost
    ours: Cost
    ours_first: bool


def main() -> None:
    """Measure, and print one JSON object last, or the figures alone as lines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.iteration")
    parser.add_argument("--quick", action="store_true", help="fewer iterations, short jobs only")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report = measure(QUICK if options.quick else FULL)
    if options.json:
        print(json.dumps(report))
    else:
        for figure, value in report["figures"].items():
            print(f"{figure:<45} {value:.3f}")


def measure(plan: Plan) -> dict[str, Any]:
    """Run the plan on servers of its own, and return the report."""
    load, _, _ = os.getloadavg()
    figures: dict[str, float] = {}
    points: list[dict[str, Any]] = []
    with _prefect_server() as wait_for_prefect:
        for point in plan.points:
            with _emulator(point.job_seconds) as environment:
                pairs = _run_pairs(point, plan.iterations, environment, wait_for_prefect)
            figures |= _figures(pairs, point.suffix)
            points.append(asdict(point) | {"runs": [asdict(pair) for pair in pairs]})
    return {
        "name": "iteration",
        "figures": figures,
        "details": {
            "iterations": plan.iterations,
            "points": points,
            "cores": os.cpu_count(),
            "load_average_at_start": load,
            "python": platform.python_version(),
            **{name: version(name) for name in ("prefect", "qiskit-ibm-runtime")},
            "left_out": "requests per job: the emulator's record does not count requests",
        },
    }


def _run_pairs(
    point: Point,
    iterations: int,
    environment: dict[str, str],
    wait_for_prefect: Callable[[], None],
) -> list[Pair]:
    # Not at the top: Prefect reads its settings when it is imported.
    from benchmarks._loops import BACKEND, make_work, run_bare, run_ours  # noqa: PLC0415
    from prefect_qsession import QiskitRuntimeCredentials  # noqa: PLC0415

    credentials = QiskitRuntimeCredentials.from_environment(environment)
    backend = credentials.get_service().backend(BACKEND)
    emulator_url = environment["IAM_URL"]

    def bare(work: "Work") -> Cost:
        return _judged(emulator_url, run_bare(backend, work))

    def ours(work: "Work") -> Cost:
        return _judged(emulator_url, run_ours(credentials, work))

    work = make_work(backend, iterations)
    # The first jobs pay for imports and connections that no later ones pay for.
    bare(work.first(WARM_UP_ITERATIONS))
    wait_for_prefect()
    ours(work.first(WARM_UP_ITERATIONS))
    pairs: list[Pair] = []
    for number in range(point.pairs):
        # Whatever the first leaves for the second, it does so as often either way.
        ours_first = number % 2 == 1
        if ours_first:
            cost_of_ours, cost_of_bare = ours(work), bare(work)
        else:
            cost_of_bare, cost_of_ours = bare(work), ours(work)
        pairs.append(Pair(cost_of_bare, cost_of_ours, ours_first))
        print(
            f"{point.job_seconds:g} s jobs, pair {number + 1} of {point.pairs}: QPU idle "
            f"{cost_of_bare.qpu_idle:.3f} s bare, {cost_of_ours.qpu_idle:.3f} s ours",
            file=sys.stderr,
        )
    return pairs


def _judged(emulator_url: str, arrivals: list[float]) -> Cost:
    """Return the cost of the loop that has just ended, after a look that it did what it should."""
    story = record.sessions(emulator_url)[-1]
    statuses = [job["status"] for job in story.jobs]
    if statuses != ["Completed"] * len(arrivals) or story.session["ended_by"] != "close":
        raise SystemExit(f"A loop of {len(arrivals)} evaluations went wrong: {story.lines()}")
    jobs = sorted(story.jobs, key=lambda job: float(job["started"]))
    return Cost(
        qpu_idle=mean(later["started"] - job["finished"] for job, later in pairwise(jobs)),
        wall=(arrivals[-1] - arrivals[0]) / (len(arrivals) - 1),
        billed=story.session["usage_seconds"] / len(arrivals),
    )


def _figures(pairs: list[Pair], suffix: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    for quantity in (field.name for field in fields(Cost)):
        bare = [getattr(pair.bare, quantity) for pair in pairs]
        ours = [getattr(pair.ours, quantity) for pair in pairs]
        ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
        added = [mine - theirs for mine, theirs in zip(ours, bare, strict=True)]
        figures |= {
            f"{quantity}_ratio_median{suffix}": median(ratios),
            f"{quantity}_ratio_min{suffix}": min(ratios),
            f"{quantity}_ratio_max{suffix}": max(ratios),
            f"bare_{quantity}_seconds_per_iteration{suffix}": median(bare),
            f"ours_{quantity}_seconds_per_iteration{suffix}": median(ours),
            f"added_{quantity}_seconds_per_iteration{suffix}": median(added),
        }
    return figures


@contextmanager
def _prefect_server() -> Iterator[Callable[[], None]]:
    """
    Start a Prefect server with a home that is thrown away, and hand out what waits until it is up.

    A new database takes it more than ten seconds, which are better used than waited for.
    """
    with TemporaryDirectory(prefix="qsession-benchmark-") as home:
        with socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        url = f"http://127.0.0.1:{port}/api"
        os.environ |= QUIET | {"PREFECT_HOME": home, "PREFECT_API_URL": url}
        with _process("prefect", "server", "start", "--port", port) as server:
            yield lambda: _wait_for_answer(server, f"{url}/health")


@contextmanager
def _emulator(job_seconds: float) -> Iterator[dict[str, str]]:
    """Run an emulator, and hand out what it printed for its users' environment."""
    start = ("prefect_qsession.cli", "emulator", "start", "--job-seconds", str(job_seconds))
    with _process(*start, stdout=subprocess.PIPE) as emulator:
        lines = takewhile(lambda line: "Ctrl-C" not in line, emulator.stdout or ())
        exports = [shlex.split(line)[1] for line in lines if line.startswith("export ")]
        if not exports:
            raise SystemExit("The emulator did not start.")
        yield dict(export.split("=", 1) for export in exports)


@contextmanager
def _process(
    *module_and_arguments: str, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    """Run a Python module as a process, until the end of the context."""
    command = [sys.executable, "-m", *module_and_arguments]
    with subprocess.Popen(command, stdout=stdout, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def _wait_for_answer(process: subprocess.Popen[str], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own loopback address
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("The Prefect server did not start.") from None
            time.sleep(0.1)


if __name__ == "__main__":
    main()
