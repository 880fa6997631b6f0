"""Jobs as the service keeps them: found by their tags, asked how they stand, read, cancelled."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from qiskit_ibm_runtime import QiskitRuntimeService, RuntimeJobV2
from qiskit_ibm_runtime.exceptions import (
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
)

from prefect_qsession.exceptions import (
    JobCancelled,
    JobError,
    JobFailed,
    ResultNotReady,
    ServiceError,
)
from prefect_qsession.ibm.codes import (
    RAN_TOO_LONG,
    SESSION_CLOSED_CODES,
    Standing,
    standing_of,
)
from prefect_qsession.ibm.errors import translated

PAGE = 200
"""The most jobs that the service gives at once (API reference, GET /jobs)."""

_NOT_FOUND = 404


class Questions(Protocol):
    """When to ask one job how it stands; times are of one clock that never jumps."""

    def next_question(self, now: float) -> float:
        """Return when to ask next; that may be in the past."""
        ...

    def asked(self, sent_at: float, answered_at: float, *, is_queued: bool, is_over: bool) -> None:
        """Take note of a question, when it was sent and answered, and of how the job stands."""
        ...


def jobs_tagged(service: QiskitRuntimeService, tags: Sequence[str]) -> list[RuntimeJobV2]:
    """
    Return the active instance's jobs that carry all these tags, oldest first; asks once per page.

    Raises:
        ServiceError: The list could not be read to its end.
    """
    found: list[RuntimeJobV2] = []
    is_last = False
    with translated("list the flow run's jobs"):
        while not is_last:
            # The client's own way to page asks for twenty at a time.
            page = service.jobs(limit=PAGE, skip=len(found), job_tags=list(tags), descending=False)
            found += page
            is_last = len(page) < PAGE
    return found


def job_status(job: RuntimeJobV2) -> Standing:
    """
    Return how the job stands; asks the service unless the job is known to be over.

    Raises:
        ServiceError: It did not answer.
    """
    with translated(f"read job {job.job_id()}"):
        status = job.status()
        message = job.error_message() if status == "ERROR" else None
    return standing_of(status, _code(message or ""))


def job_error(job: RuntimeJobV2) -> JobError | None:
    """
    Return why a job that is over has no result; None if it has one.

    Raises:
        ServiceError: The service did not answer.
    """
    with translated(f"read job {job.job_id()}"):
        status = job.status()
        if status == "CANCELLED":
            return JobCancelled(job.job_id(), job.session_id)
        return _failure(job, job.error_message() or "") if status == "ERROR" else None


def pending_jobs(service: QiskitRuntimeService, tag: str) -> set[str] | None:
    """
    Return the ids of the active instance's jobs that carry a tag and are not over; asks once.

    None if there are more than the service tells at once: the client asks for ever if a list has
    become shorter than what it was told to skip.

    Raises:
        ServiceError: The service did not answer.
    """
    with translated("list the flow run's jobs that are not over"):
        page = service.jobs(limit=PAGE, pending=True, job_tags=[tag])
    return {job.job_id() for job in page} if len(page) < PAGE else None


def job_result(
    job: RuntimeJobV2,
    wait: Questions,
    timeout: float | None = None,
    *,
    on_running: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> Any:
    """
    Wait for the job and return its result; None if the service has it no more.

    Args:
        job: The client's job.
        wait: Knows when to ask how it stands.
        timeout: Seconds to wait; for ever if left out. It is asked once more at their end.
        on_running: Called whenever it is seen to run.
        clock: Seconds that only grow, the same as the policy's.
        pause: Called with the seconds until the next question; may return sooner.

    Raises:
        JobFailed: It failed; the service's own reason is in the message.
        JobCancelled: It was cancelled before it ran.
        ResultNotReady: It is not over after `timeout` seconds.
        ServiceError: The service did not answer.
    """
    doing = f"read the result of job {job.job_id()}"
    with translated(doing), _failures_of(job):
        _wait_for_end(job, wait, timeout, on_running, clock, pause)
    try:
        with translated(doing), _failures_of(job):
            # The client asks no more how a job stands that it knows to be over.
            return job.result()
    except ServiceError as error:
        # It is over, so it was there: it has been deleted.
        if error.status_code == _NOT_FOUND:
            return None
        raise


def _wait_for_end(
    job: RuntimeJobV2,
    wait: Questions,
    timeout: float | None,
    on_running: Callable[[], object],
    clock: Callable[[], float],
    pause: Callable[[float], object],
) -> None:
    began = clock()
    ends = None if timeout is None else began + timeout
    while True:
        now = clock()
        asks_at = wait.next_question(now)
        if ends is not None:
            asks_at = min(asks_at, ends)
        if asks_at > now:
            pause(asks_at - now)
        sent_at = clock()
        status = job.status()
        is_over = status in job.JOB_FINAL_STATES
        wait.asked(sent_at, clock(), is_queued=status == "QUEUED", is_over=is_over)
        if is_over:
            return
        if status == "RUNNING":
            on_running()
        if ends is not None and sent_at >= ends:
            raise ResultNotReady(job.job_id())


def cancel_job(job: RuntimeJobV2) -> bool:
    """
    Cancel the job if it is not over; return whether that was so.

    Raises:
        ServiceError: The service did not confirm.
    """
    with translated(f"cancel job {job.job_id()}"):
        try:
            job.cancel()
        except (RuntimeInvalidStateError, RuntimeJobNotFound):
            return False
    return True


def qpu_seconds(job: RuntimeJobV2) -> float:
    """
    Return what the job has been charged so far.

    Raises:
        ServiceError: The service did not answer.
    """
    with translated(f"read the usage of job {job.job_id()}"):
        return float(job.usage(partial=True) or 0.0)


@contextmanager
def _failures_of(job: RuntimeJobV2) -> Iterator[None]:
    """Name the end of a job that has no result, keeping the service's own words."""
    job_id = job.job_id()
    try:
        yield
    except RuntimeJobMaxTimeoutError as error:
        # Not `session_id` above: for a job without a session the client asks the service for it.
        raise JobFailed(job_id, job.session_id, str(error.message), code=RAN_TOO_LONG) from error
    except RuntimeJobFailureError as error:
        raise _failure(job, str(error.message)) from error
    except RuntimeInvalidStateError as error:
        raise JobCancelled(job_id, job.session_id) from error


def _failure(job: RuntimeJobV2, message: str) -> JobFailed:
    reason = message.removeprefix("Unable to retrieve job result. ")
    code = _code(reason)
    return JobFailed(
        job.job_id(),
        job.session_id,
        reason,
        code=code,
        retryable=standing_of("ERROR", code) is Standing.FAILED_IN_PASSING,
        lost_with_session=code in SESSION_CLOSED_CODES,
    )


def _code(reason: str) -> int | None:
    """Return IBM's code from the client's text, which is the one public place that has it."""
    found = re.search(r"\bError code (\d+)\b", reason)
    return int(found[1]) if found else None
