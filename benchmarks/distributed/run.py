"""
One flow run of many mapped quantum tasks, in a process of its own.

    python -m benchmarks.distributed.run '{"runner": "dask", "workers": 4, "tasks": 1000, ...}'

It prints one line of JSON: when the tasks were submitted, which job each was answered by, and when
a worker was killed. Imports nothing of Prefect before the environment says which home it has.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import TaskRunner

from prefect_qsession import QiskitRuntimeCredentials, current_backend, sampler, session_flow
from tests.harness.circuits import one_bit

BACKEND = "ibm_manila"
SHOTS = 10


@task(cache_policy=NO_CACHE)
def measure(number: int, seen: str, result_of: str) -> tuple[int, str]:
    """Have one job done, which is like all the others, and return its id."""
    # How far the run is, and who works on it, for the one who kills.
    (Path(seen) / str(os.getpid())).touch()
    circuit = one_bit(current_backend().num_qubits)
    job = sampler(legacy=True).run([circuit], shots=SHOTS)
    job.result()
    (Path(result_of) / str(number)).touch()
    return number, job.job_id()


def task_runner(kind: str, workers: int) -> TaskRunner[Any]:
    """Return a runner with so many workers of one thread each."""
    if kind == "dask":
        from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415 - an extra

        cluster = {"n_workers": workers, "threads_per_worker": 1, "host": "127.0.0.1"}
        return DaskTaskRunner(cluster_kwargs=cluster | {"dashboard_address": "127.0.0.1:0"})
    from prefect_ray import RayTaskRunner  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

    quiet = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    ray: TaskRunner[Any] = RayTaskRunner(init_kwargs={"num_cpus": workers, **quiet})
    return ray


def main() -> None:
    """Run the flow as the command line says."""
    asked = json.loads(sys.argv[1])
    block = "benchmark"
    QiskitRuntimeCredentials.from_environment().save(block, overwrite=True)
    runner = task_runner(asked["runner"], asked["workers"])
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as seen, tempfile.TemporaryDirectory() as done:

        @session_flow(block, backend=BACKEND, task_runner=runner, name="many")
        def many() -> list[tuple[int, str]]:
            told["began"] = time.time()
            futures = measure.map(range(asked["tasks"]), seen, done)
            told["submitted"] = time.time()
            return [future.result() for future in futures]

        if asked["kill"]:
            half = (Path(seen), Path(done), asked["tasks"] // 2, told)
            threading.Thread(target=_kill_one, args=half).start()
        rows = many()
        told["ended"] = time.time()
    print(json.dumps({**told, "jobs": {str(number): job for number, job in rows}}))


def _kill_one(seen: Path, done: Path, after: int, told: dict[str, Any]) -> None:
    """Kill one of the workers once so many tasks are done."""
    while len(list(done.iterdir())) < after:
        time.sleep(0.05)
    worker = int(next(seen.iterdir()).name)
    os.kill(worker, signal.SIGKILL)
    told["killed"] = worker


if __name__ == "__main__":
    main()
