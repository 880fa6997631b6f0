"""
Many session flows, each on a service that fails at random in ways a correct client gets through.

    python -m benchmarks.job_faults [--trials 200] [--seed 1] [--lanes 6] [--json] [--keep]

All run in this process, several at once, on one Prefect server; each has an emulated service of its
own, whose record judges: no job is run twice, no result is lost, none is another's.
"""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from benchmarks import _results
from demo.servers import PrefectServer
from benchmarks.job_faults.schedules import draw
from prefect_qsession.emulator import SimulatorPool

if TYPE_CHECKING:
    from benchmarks.job_faults.trial import Trial

COUNTED_JOBS = 10

QUIET = {
    # What goes wrong is wanted here, and what must not be is told by the trial.
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "QISKIT_IBM_RUNTIME_LOG_LEVEL": "CRITICAL",
}


def main() -> None:
    """Run the trials, and print one JSON object last, or the figures alone as a table."""
    parser = _results.parser("job_faults")
    parser.add_argument("--trials", type=int, default=200, help="how many flow runs")
    parser.add_argument("--seed", type=int, default=1, help="decides all that is drawn")
    parser.add_argument("--lanes", type=int, default=6, help="how many run at once")
    options = parser.parse_args()
    _results.finish(measure(options.trials, options.seed, options.lanes), options)


def measure(count: int, seed: int, lanes: int) -> dict[str, Any]:
    """Run so many trials on a Prefect server of their own, and return the report."""
    load, _, _ = os.getloadavg()
    began = time.monotonic()
    with _prefect_server(), SimulatorPool() as simulators:
        # Not at the top: Prefect reads its settings when it is imported.
        from benchmarks.job_faults.counting import count_requests  # noqa: PLC0415

        bare, ours = count_requests(COUNTED_JOBS, simulators)
        trials = _run_trials(count, seed, lanes, simulators)
    return {
        "name": "job_faults",
        "figures": {
            "jobs_duplicated": sum(trial.jobs_duplicated for trial in trials),
            "results_lost": sum(len(trial.results_lost) for trial in trials),
            "results_wrong": sum(len(trial.results_wrong) for trial in trials),
            "requests_per_job": ours.per_job,
            "requests_per_job_bare": bare.per_job,
            "seconds": round(time.monotonic() - began, 1),
        },
        "details": {
            "trials": len(trials),
            "seed": seed,
            "lanes": lanes,
            "results": sum(trial.requests for trial in trials),
            "faults_struck": dict(_struck(trials).most_common()),
            "sessions_left_open": sum(trial.sessions_left_open for trial in trials),
            "attempts_unplanned": sum(trial.attempts_unplanned for trial in trials),
            "requests_counted": {"jobs": COUNTED_JOBS, "ours": asdict(ours), "bare": asdict(bare)},
            "runs": [asdict(trial) for trial in sorted(trials, key=lambda each: each.number)],
            "load_average_at_start": load,
        },
    }


def _run_trials(count: int, seed: int, lanes: int, simulators: SimulatorPool) -> "list[Trial]":
    from benchmarks.job_faults.trial import run_trial  # noqa: PLC0415 - as above

    trials: list[Trial] = []
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with ThreadPoolExecutor(lanes) as pool, Progress(*columns, console=console) as progress:
        bar = progress.add_task("trials", total=count)
        running = [
            pool.submit(run_trial, draw(number, seed), simulators) for number in range(1, count + 1)
        ]
        for trial in as_completed(running):
            trials.append(trial.result())
            progress.advance(bar)
            if trials[-1].is_bad:
                console.print(f"seed {seed}: {trials[-1]}")
    return trials


def _struck(trials: "list[Trial]") -> Counter[str]:
    """Count the strikes by method, route and effect."""
    struck: Counter[str] = Counter()
    for trial in trials:
        for line, times in trial.struck.items():
            method, route, kind, *rest = line.split()
            status = rest[0] if kind == "answer" else ""
            after = "after_work" if "after_work" in rest else ""
            struck[" ".join(filter(None, (method, route, kind, status, after)))] += times
    return struck


@contextmanager
def _prefect_server() -> Iterator[None]:
    """Run a Prefect server for this process, which knows none of this machine's accounts."""
    with tempfile.TemporaryDirectory(prefix="qsession-job-faults-") as directory:
        server = PrefectServer(Path(directory) / "server")
        environment = server.environment() | QUIET
        os.environ.clear()
        os.environ.update(environment)
        with server:
            yield


if __name__ == "__main__":
    main()
