"""
Flow runs of many mapped tasks, one job each and all alike, on Dask and on Ray.

    python -m benchmarks.distributed [--tasks 1000] [--quick] [--json] [--keep]

On each runner, 1, 2 and 4 workers do a fifth of the tasks, for the rate; and 4 workers do all of
them, while one is killed by SIGKILL in the middle. The emulated service's own record judges: how
many sessions there were, whether any request was submitted twice, and whether each result that the
flow has is of a job of its own that was completed. Jobs take no time, so the rate is that of
Prefect, the cluster and this package on this machine.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks._results import finish, parser
from benchmarks._servers import Service, prefect_server, service

ROOT = Path(__file__).parents[2]
WORKERS = (1, 2, 4)
RUN_SECONDS = 1800.0


def main() -> None:
    """Run all, and print one JSON object last, or the figures as a table."""
    options = parser("distributed", "two workers of Dask, 60 tasks, one worker killed")
    options.add_argument("--tasks", type=int, default=1000, help="of the runs with a kill")
    finish(measure(options.parse_args()), options.parse_args())


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return figures and details."""
    if options.quick:
        plan = [_asked("dask", 2, 60, kill=True)]
    else:
        plan = [
            _asked(runner, workers, tasks, kill=kill)
            for runner in ("dask", "ray")
            for workers, tasks, kill in (
                *((workers, max(options.tasks // 5, 1), False) for workers in WORKERS),
                (WORKERS[-1], options.tasks, True),
            )
        ]
    runs = []
    with prefect_server() as wait_until_up:
        wait_until_up()
        for asked in plan:
            with service(0.0) as emulated:
                runs.append(_run(asked, emulated))
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    figures = {
        "sessions": max(run["sessions"] for run in runs),
        "jobs_submitted_twice": sum(run["jobs_submitted_twice"] for run in runs),
        "results_missing": sum(run["results_missing"] for run in runs),
        **{
            f"{what}_{run['runner']}_{run['workers']}": run[what]
            for run in runs
            if not run["kill"] or options.quick
            for what in ("tasks_per_second", "seconds_to_first_job")
        },
    }
    return {"name": "distributed", "figures": figures, "details": {"runs": runs}}


def _asked(runner: str, workers: int, tasks: int, *, kill: bool) -> dict[str, Any]:
    return {"runner": runner, "workers": workers, "tasks": tasks, "kill": kill}


def _run(asked: dict[str, Any], emulated: Service) -> dict[str, Any]:
    """Have one flow run done, and judge it by the service's record."""
    environment = os.environ | emulated.environment | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks.distributed.run", json.dumps(asked)]
    # A cluster writes what it likes; the last line is ours.
    finished = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=RUN_SECONDS,
        check=True,
    )
    told = json.loads(finished.stdout.strip().splitlines()[-1])
    return {**asked, **judge(asked["tasks"], told, emulated.record())}


def judge(tasks: int, told: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Return what a run's own word and the service's record come to."""
    jobs = record["jobs"]
    requests = Counter(
        tag for job in jobs for tag in job["tags"] if tag.startswith("qsession-request:")
    )
    completed = {job["id"] for job in jobs if job["status"] == "Completed"}
    answered = set(told["jobs"].values()) & completed
    first = min(job["created"] for job in jobs)
    last = max(job["finished"] for job in jobs)
    return {
        "sessions": len(record["sessions"]),
        "jobs": len(jobs),
        "jobs_submitted_twice": sum(count - 1 for count in requests.values()),
        "results_missing": tasks - len(answered),
        "seconds_to_first_job": first - told["began"],
        "tasks_per_second": tasks / max(last - first, 1e-9),
        "seconds_to_submit": told["submitted"] - told["began"],
        "killed": told.get("killed"),
    }


if __name__ == "__main__":
    main()
