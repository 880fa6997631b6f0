"""
Session flows on services that fail in ways a correct client gets through; see README.md.

    python -m benchmarks.job_faults [--trials 200] [--seed 1] [--lanes 6] [--json] [--keep]
"""

import sys
import time
from dataclasses import asdict
from functools import partial

from benchmarks._results import Measured, Options, run
from benchmarks._servers import prefect_server
from benchmarks._trials import in_lanes
from benchmarks.job_faults.schedules import draw
from prefect_qsession.emulator import SimulatorPool

COUNTED_JOBS = 10

QUIET = {
    # What goes wrong is wanted here, and what must not be is told by the trial.
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "QISKIT_IBM_RUNTIME_LOG_LEVEL": "CRITICAL",
}


def measure(options: Options) -> Measured:
    """Run the trials on a Prefect server of their own."""
    began = time.monotonic()
    with prefect_server(**QUIET), SimulatorPool() as simulators:
        from benchmarks.job_faults.counting import count_requests  # noqa: PLC0415
        from benchmarks.job_faults.trial import run_trial  # noqa: PLC0415

        bare, ours = count_requests(COUNTED_JOBS, simulators)
        drawn = [draw(number, options.seed) for number in range(1, options.trials + 1)]
        todo = [partial(run_trial, each, simulators) for each in drawn]
        trials = []
        for trial in in_lanes(options.lanes, todo):
            trials.append(trial)
            if trial.is_bad:
                print(f"seed {options.seed}: {trial}", file=sys.stderr)
    figures = {
        "jobs_duplicated": sum(trial.jobs_duplicated for trial in trials),
        "results_lost": sum(len(trial.results_lost) for trial in trials),
        "results_wrong": sum(len(trial.results_wrong) for trial in trials),
        "requests_per_job": ours.per_job,
        "requests_per_job_bare": bare.per_job,
        "seconds": round(time.monotonic() - began, 1),
    }
    return figures, {
        "trials": len(trials),
        "seed": options.seed,
        "lanes": options.lanes,
        "results": sum(trial.requests for trial in trials),
        "faults_struck": sum(sum(trial.struck.values()) for trial in trials),
        "sessions_left_open": sum(trial.sessions_left_open for trial in trials),
        "attempts_unplanned": sum(trial.attempts_unplanned for trial in trials),
        "requests_counted": {"jobs": COUNTED_JOBS, "ours": asdict(ours), "bare": asdict(bare)},
        "runs": [asdict(trial) for trial in sorted(trials, key=lambda each: each.number)],
    }


if __name__ == "__main__":
    run(
        "job_faults",
        measure,
        trials=(200, "how many flow runs"),
        seed=(1, "decides all that is drawn"),
        lanes=(6, "how many run at once"),
    )
