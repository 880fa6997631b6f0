"""
Flow runs of many mapped tasks, one job each, on Dask and on Ray; see README.md.

    python -m benchmarks.distributed [--tasks 1000] [--quick] [--json] [--keep]
"""

import json
import sys
from collections import Counter
from typing import Any

from benchmarks._processes import answer_of
from benchmarks._results import Measured, Options, run
from benchmarks._servers import Service, prefect_server, service
from demo.servers import ROOT

WORKERS = (1, 2, 4)


def measure(options: Options) -> Measured:
    """Have all flow runs done, each with a service of its own."""
    rates = [(workers, max(options.tasks // 5, 1), False) for workers in WORKERS]
    plan = [
        (runner, *each)
        for runner in ("dask", "ray")
        for each in (*rates, (WORKERS[-1], options.tasks, True))
    ]
    runs = []
    with prefect_server():
        for one in [("dask", 2, 60, True)] if options.quick else plan:
            asked = dict(zip(("runner", "workers", "tasks", "kill"), one, strict=True))
            with service(0.0) as emulated:
                runs.append(asked | _run(asked, emulated))
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
    return figures, {"runs": runs}


def _run(asked: dict[str, Any], emulated: Service) -> dict[str, Any]:
    """Have one flow run done, and judge it by the service's record."""
    environment = emulated.environment | {"PYTHONPATH": str(ROOT)}
    told = answer_of("-m", "benchmarks.distributed.run", json.dumps(asked), environment=environment)
    record = emulated.record()
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
        "results_missing": asked["tasks"] - len(answered),
        "seconds_to_first_job": first - told["began"],
        "tasks_per_second": asked["tasks"] / max(last - first, 1e-9),
        "seconds_to_submit": told["submitted"] - told["began"],
        "killed": told.get("killed"),
    }


if __name__ == "__main__":
    quick = "two workers of Dask, 60 tasks, one worker killed"
    run("distributed", measure, quick=quick, tasks=(1000, "of the runs with a kill"))
