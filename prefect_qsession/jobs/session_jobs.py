"""A job as a primitive returns it: the answer to one request, whichever of its jobs gives it."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from threading import TIMEOUT_MAX, Lock
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from qiskit.primitives import BasePrimitiveJob, PrimitiveResult

from prefect_qsession.budget.rules import rule_of_thumb_seconds
from prefect_qsession.exceptions import JobCancelled, JobFailed, ResultNotReady
from prefect_qsession.ibm.jobs import cancel_job, job_result
from prefect_qsession.jobs.job_requests import Request, Submission
from prefect_qsession.jobs.submissions import Submissions
from prefect_qsession.jobs.waiting import JobWait, beat_seconds
from prefect_qsession.prefect_api.threads import CarriedContext

if TYPE_CHECKING:
    from qiskit_ibm_runtime import RuntimeJobV2

P = ParamSpec("P")
R = TypeVar("R")


def _where_it_was_asked_for(
    method: "Callable[Concatenate[SessionJob, P], R]",
) -> "Callable[Concatenate[SessionJob, P], R]":
    """Have a thread without a context account for the job as the flow run or task that asked."""

    @wraps(method)
    def call(self: "SessionJob", *args: P.args, **kwargs: P.kwargs) -> R:
        if self._result is None:
            self._submissions.process.check(f"{method.__name__}()")
        return self._context.run(method, self, *args, **kwargs)

    return cast("Callable[Concatenate[SessionJob, P], R]", call)


class SessionJob(BasePrimitiveJob):  # type: ignore[misc]  # Qiskit ships no types
    """
    One request's job in the flow run's session; thread-safe.

    It may be one that an earlier attempt of the flow run has submitted. If the service ends the
    session before the job has run, the request is submitted anew into another session, as often as
    the policy allows: the job's id changes then. A fork of the process may only read a result that
    is there already.
    """

    def __init__(self, submissions: Submissions, request: Request, submission: Submission) -> None:
        super().__init__(submission.job.job_id())
        self._submissions = submissions
        self._request = request
        self._submission = submission
        self._context = CarriedContext()
        self._lock = Lock()
        self._result: Any = None
        self._is_cancelled_here = False
        self._had_no_result = False

    @property
    def client_job(self) -> "RuntimeJobV2":
        """The client's own object, for its metrics, usage, logs and the rest."""
        return self._submission.job

    @property
    def is_reattached(self) -> bool:
        """Whether an earlier attempt has submitted it, so that it is not paid again."""
        return not self._submission.is_new

    @property
    def shares(self) -> int:
        """How many requests the job answers, where it is known: its usage is theirs together."""
        return self._submission.account.members

    def job_id(self) -> str:
        """Return the service's id of the job."""
        return str(self.client_job.job_id())

    @_where_it_was_asked_for
    def result(self, timeout: float | None = None) -> Any:
        """
        Wait for the job and return its result, which is fetched once.

        Args:
            timeout: Seconds to wait; for ever if left out.

        Raises:
            JobFailed: It failed; the message has the service's own reason.
            JobCancelled: It was cancelled before it ran.
            ResultNotReady: It is not over after `timeout` seconds; it goes on.
            SessionError: The job was lost with its session, and no other may take it.
            ServiceError: The service did not answer; the job goes on.
        """
        ends_at = None if timeout is None else time.monotonic() + timeout
        # One thread waits for all; another's time is up whoever that is.
        if not self._lock.acquire(timeout=-1 if timeout is None else _as_lock_has_it(timeout)):
            raise ResultNotReady(self.job_id(), self.client_job.session_id)
        try:
            while self._result is None:
                self._take_result(ends_at)
            return self._result
        finally:
            self._lock.release()

    @_where_it_was_asked_for
    def status(self) -> Any:
        """Return the client's word for how the job stands."""
        submission = self._submission
        status = submission.job.status()
        if status in submission.job.JOB_FINAL_STATES:
            self._submissions.settle_seen(submission)
        return status

    def done(self) -> bool:
        """Whether the job has a result."""
        return bool(self.status() == "DONE")

    def running(self) -> bool:
        """Whether the job runs."""
        return bool(self.status() == "RUNNING")

    def cancelled(self) -> bool:
        """Whether the job was cancelled."""
        return bool(self.status() == "CANCELLED")

    def in_final_state(self) -> bool:
        """Whether the job is over."""
        return self.status() in self.client_job.JOB_FINAL_STATES

    @_where_it_was_asked_for
    def cancel(self) -> None:
        """
        Cancel the job; nothing happens if it is over.

        One that answers others as well goes on until they have cancelled it, too; this one's
        `result` raises `JobCancelled` from now on.

        Raises:
            ServiceError: The service did not confirm.
        """
        is_first_time, self._is_cancelled_here = not self._is_cancelled_here, True
        submission = self._submission
        if submission.position is None or (is_first_time and submission.account.give_up()):
            cancel_job(submission.job)
            self._submissions.settle_seen(submission)

    def __repr__(self) -> str:
        return f"<SessionJob {self.job_id()}>"

    def _take_result(self, ends_at: float | None) -> None:
        """Wait for the job, and have its result, or another job in its place."""
        submission = self._submission
        if self._is_cancelled_here and submission.position is not None:
            raise JobCancelled(submission.job.job_id(), submission.job.session_id)
        timeout = None if ends_at is None else max(ends_at - time.monotonic(), 0.0)
        try:
            with self._waiting() as wait:
                result = job_result(submission.job, wait, timeout, on_running=self._note_running)
        except (JobFailed, JobCancelled) as error:
            self._submissions.settle(submission, error)
            # Of a pack another's PUB may be to blame: this one's goes by itself.
            is_of_pack = submission.position is not None and not self._is_cancelled_here
            if not is_of_pack and (
                self._is_cancelled_here or not self._submissions.is_worth_another(submission, error)
            ):
                raise
            self._submit_again()
            return
        self._submissions.settle(submission)
        self._result = self._own(result)
        if self._result is None:
            # Gone from the service: deleted, or private and read before.
            self._refuse_the_second_time()
            self._submit_again()

    def _own(self, result: Any) -> Any:
        """Return what a job's result has for this request."""
        position = self._submission.position
        if result is None or position is None:
            return result
        return PrimitiveResult([result[position]], metadata=dict(result.metadata))

    def _waiting(self) -> AbstractContextManager[JobWait]:
        return self._submissions.waits.job(
            self._request.kind,
            estimate_seconds=rule_of_thumb_seconds(self._request.executions),
            beat_seconds=beat_seconds(is_in_session=self._submission.is_in_session),
            submitted_at=self._submission.submitted_at,
            now=time.monotonic(),
        )

    def _note_running(self) -> None:
        self._submissions.note_running(self._submission)

    def _refuse_the_second_time(self) -> None:
        """Pay for a result that is gone once more, and not again and again."""
        if self._had_no_result:
            job = self.client_job
            raise JobFailed(job.job_id(), job.session_id, "the service has no result of it.")
        self._had_no_result = True

    def _submit_again(self) -> None:
        self._submission = self._submissions.submit(self._request)


def _as_lock_has_it(seconds: float) -> float:
    return min(max(seconds, 0.0), TIMEOUT_MAX)
