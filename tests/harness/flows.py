"""
The flows that are ended.

Each submits two jobs, waits for them and then to be let go, and ends as its parameter `shape` says;
`iterating` and `awaiting` go on with such jobs until they are let go. Whoever ends a flow does so
while it opens its session, while its jobs are queued or run, or while it waits. Credentials,
backend and policy come from the settings.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.runtime import flow_run
from prefect.states import Failed

from prefect_qsession import SessionTaskRunner, current_backend, sampler, session_flow
from tests.harness.circuits import one_bit
from tests.harness.marks import Marks
from tests.harness.waiting import LOOK_SECONDS

TIMEOUT_SECONDS = 8.0
"""Of the flows that run into it; a busy machine needs some seconds to get its job running."""

DEVICE = "ibm_manila"
"""What their settings name."""

ELSEWHERE = "ibm_elsewhere"
"""Another device: two sessions on one wait for each other."""


class Boom(Exception):
    """What the flows raise."""


# -- what they do


def run_jobs() -> int:
    """Submit two jobs, and wait for both: while the first runs, the second is queued."""
    circuit = one_bit(current_backend().num_qubits)
    # What an earlier attempt has asked would be answered by its jobs, and open no session.
    shots = 10 + flow_run.run_count
    jobs = [sampler().run([circuit], shots=shots) for _ in range(2)]
    return sum(len(job.result()) for job in jobs)


@task
def jobs_in_task() -> int:
    """Run the jobs in a task."""
    return run_jobs()


def run_jobs_in(where: str) -> None:
    """Run two jobs there."""
    match where:
        case "body":
            run_jobs()
        case "task":
            jobs_in_task()
        case "submitted task":
            jobs_in_task.submit().result()
        case _:
            raise ValueError(where)


@task
def failing_task() -> None:
    """Fail."""
    raise Boom


def begin(where: str) -> Marks:
    """Say that the flow run has begun, in which process."""
    marks = Marks(Path(where))
    marks.begin(str(flow_run.id), os.getpid())
    return marks


def wait(marks: Marks) -> None:
    """Wait to be let go, awake enough to hear a signal."""
    marks.wait(str(flow_run.id))
    while not marks.may_go:
        time.sleep(LOOK_SECONDS)


async def wait_async(marks: Marks) -> None:
    """Wait to be let go, and leave the event loop free."""
    marks.wait(str(flow_run.id))
    while not marks.may_go:  # noqa: ASYNC110 - it is another process that lets it go
        await asyncio.sleep(LOOK_SECONDS)


def end(shape: str) -> Any:
    """End the flow run."""
    match shape:
        case "returns":
            return 1
        case "raises":
            raise Boom
        case "fails by state":
            return Failed(message="no convergence")
        case "fails by task":
            return failing_task.submit()
        case "sys.exit":
            sys.exit(3)
        case "os._exit":
            os._exit(3)
        case _:
            raise ValueError(shape)


def run_to_end(where: str, shape: str, jobs_in: str = "body") -> Any:
    """Run the jobs where it says, wait, and end."""
    marks = begin(where)
    run_jobs_in(jobs_in)
    wait(marks)
    return end(shape)


async def run_to_end_async(where: str, shape: str) -> Any:
    """Do the same in an async flow."""
    marks = begin(where)
    run_jobs()
    await wait_async(marks)
    return end(shape)


# -- the flows; a deployment finds them by the names of their functions


@session_flow
def decorated(where: str, shape: str = "returns", jobs_in: str = "body") -> Any:
    """Be a session flow of the recommended kind."""
    return run_to_end(where, shape, jobs_in)


@session_flow
async def decorated_async(where: str, shape: str = "returns") -> Any:
    """Be an async session flow."""
    return await run_to_end_async(where, shape)


@session_flow(backend=ELSEWHERE)
async def elsewhere_async(where: str, shape: str = "returns") -> Any:
    """Be an async session flow on another device."""
    return await run_to_end_async(where, shape)


# Its type is open because Prefect's admits only the futures of its own base class.
_RUNNER: Any = SessionTaskRunner()


@flow(task_runner=_RUNNER)
def plain(where: str, shape: str = "returns", jobs_in: str = "body") -> Any:
    """Be a plain flow with our task runner."""
    return run_to_end(where, shape, jobs_in)


@flow(task_runner=_RUNNER)
async def plain_async(where: str, shape: str = "returns") -> Any:
    """Be a plain async flow with our task runner."""
    return await run_to_end_async(where, shape)


@session_flow(timeout_seconds=TIMEOUT_SECONDS)
def timed(where: str) -> Any:
    """Run into a timeout."""
    return run_to_end(where, "returns")


@session_flow(timeout_seconds=TIMEOUT_SECONDS)
async def timed_async(where: str) -> Any:
    """Run into a timeout in an async flow."""
    return await run_to_end_async(where, "returns")


@session_flow(retries=1, retry_delay_seconds=1)
def retried(where: str) -> Any:
    """Fail at the first attempt, and return at the second."""
    return run_to_end(where, "raises" if flow_run.run_count == 1 else "returns")


@session_flow
def pausing(where: str) -> int:
    """Pause between two runs of jobs."""
    run_to_end(where, "returns")
    pause_flow_run(timeout=120, poll_interval=1)
    return run_jobs()


@session_flow
def suspending(where: str) -> int:
    """Suspend between two runs of jobs; when resumed, the first are read again, not run."""
    run_to_end(where, "returns")
    suspend_flow_run(timeout=120)
    return run_jobs()


@session_flow
def generating(where: str) -> Iterator[int]:
    """Yield twice."""
    run_to_end(where, "returns")
    yield 1
    yield 2


@session_flow
async def generating_async(where: str) -> AsyncIterator[int]:
    """Yield twice in an async flow."""
    await run_to_end_async(where, "returns")
    yield 1
    yield 2


@flow
def sharing(where: str, shape: str) -> Any:
    """Be a subflow without a session of its own."""
    return run_to_end(where, shape)


@session_flow(backend=ELSEWHERE)
def owning(where: str, shape: str) -> Any:
    """Be a subflow with a session of its own."""
    return run_to_end(where, shape)


@session_flow
def above_sharing(where: str, shape: str = "returns") -> Any:
    """Run the jobs in a subflow that shares this flow's session."""
    return sharing(where, shape)


@session_flow
def above_owning(where: str, shape: str = "returns") -> Any:
    """Run jobs here, and more in a subflow with another session."""
    run_jobs()
    return owning(where, shape)


# -- flows that run jobs until they are let go or ended; two at a time


@session_flow
def iterating(
    where: str, shape: str = "returns", jobs_in: str = "body", step_seconds: float = 0.0
) -> Any:
    """Run jobs, with a step in between, until let go; then end as it says."""
    marks = begin(where)
    try:
        while not marks.may_go:
            run_jobs_in(jobs_in)
            until = time.monotonic() + step_seconds
            while time.monotonic() < until and not marks.may_go:
                time.sleep(LOOK_SECONDS)
    finally:
        marks.stop()
    return end(shape)


@session_flow
async def awaiting(
    where: str, shape: str = "returns", jobs_in: str = "body", step_seconds: float = 0.0
) -> Any:
    """Do the same in an async flow, whose event loop stays free."""
    marks = begin(where)
    try:
        while not marks.may_go:
            await asyncio.to_thread(run_jobs_in, jobs_in)
            until = time.monotonic() + step_seconds
            while time.monotonic() < until and not marks.may_go:  # noqa: ASYNC110 - as above
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        marks.stop()
    return end(shape)
