"""What runs on the workers."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext, with_context

from prefect_qsession import current_backend, current_session, sampler, track
from prefect_qsession.exceptions import NotInSessionFlow
from tests.integration.conftest import flipped_qubit


def ask(shots: int = 10):
    """Submit a job, and return it."""
    return sampler().run([flipped_qubit(current_backend().num_qubits)], shots=shots)


def measured(shots: int = 10) -> tuple[str, str, str]:
    """Measure 1, and return the job, its session and its backend."""
    job = ask(shots)
    assert [1] == list({int(bit) for bit in job.result()[0].data.c.array.ravel()})
    return job.job_id(), current_session().session_id, current_backend().name


@task(cache_policy=NO_CACHE)
def add_one(x: int) -> int:
    """Ask for no job."""
    return x + 1


@task(cache_policy=NO_CACHE)
def measure(shots: int = 10) -> list:
    """Measure in a task."""
    return [measured(shots)]


@task(cache_policy=NO_CACHE)
async def measure_async(shots: int = 10) -> list:
    """Measure in an async task."""
    return [measured(shots)]


@flow
def subflow(shots: int) -> list:
    """Measure in a subflow that has no session of its own."""
    return measure(shots)


@task(cache_policy=NO_CACHE)
def nested(shots: int = 10) -> list:
    """Measure in a task that is called by a task, and in a subflow of a task."""
    return [*measure(shots), *measure(shots), *subflow(shots)]


@task(cache_policy=NO_CACHE)
def measure_and_die_once(died: str) -> tuple[str, bool]:
    """Have a job submitted, and end the worker by force; at the second time, wait for the job."""
    job = ask()
    if not Path(died).exists():
        Path(died).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    job.result()
    return job.job_id(), job.is_reattached


@task(cache_policy=NO_CACHE, retries=1)
def measure_and_fail_once(failed: str) -> str:
    """Have a job run, and fail; return the job of the second time."""
    job_id, _, _ = measured()
    if not Path(failed).exists():
        Path(failed).write_text(job_id)
        raise ValueError
    return job_id


@task(cache_policy=NO_CACHE)
def spread(shots: int = 10) -> list:
    """Measure in tasks that a task submits to the same cluster."""
    return [row for rows in measure.map([shots] * 2).result() for row in rows]


@task(cache_policy=NO_CACHE)
def measure_in_threads(shots: int = 10) -> list:
    """Measure in threads that carry no context, and are the first to ask."""
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(measured, [shots, shots + 1]))


@task(cache_policy=NO_CACHE, retries=1)
def measure_in_threads_and_fail_once(failed: str) -> list[str]:
    """Measure in such threads with a primitive of the task's, and fail; return the second jobs."""
    primitive, circuit = sampler(), flipped_qubit(current_backend().num_qubits)

    def submitted(shots: int) -> str:
        job = primitive.run([circuit], shots=shots)
        job.result()
        return job.job_id()

    with ThreadPoolExecutor(2) as threads:
        job_ids = list(threads.map(submitted, [10, 20]))
    if not Path(failed).exists():
        Path(failed).write_text(" ".join(job_ids))
        raise ValueError
    return job_ids


@task(cache_policy=NO_CACHE)
def measure_and_fork() -> tuple[list[str], list]:
    """Return what forks of a worker are told, and what the worker measures afterwards."""
    before = measured()
    with multiprocessing.get_context("fork").Pool(2) as forks:
        told = [*forks.map(told_in_fork, [1, 2]), *forks.map(with_context(told_in_fork), [1, 2])]
    return told, [before, measured()]


def told_in_fork(_item: int) -> str:
    """Return the error that a fork gets for an answer."""
    try:
        return f"an answer: {sampler().run([flipped_qubit(5)], shots=10)}"
    except NotInSessionFlow as error:
        return str(error)


@task(cache_policy=NO_CACHE)
def measure_and_track(value: float, iteration: int | None = None) -> str:
    """Measure, and track a number; return the name that the task run has then."""
    measured()
    track(energy=value, iteration=iteration)
    return TaskRunContext.get().task_run.name
