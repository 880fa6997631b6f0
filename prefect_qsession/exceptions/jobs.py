"""What became of one job."""

from prefect_qsession.exceptions.base import QSessionError


class JobError(QSessionError):
    """Something about one job; `session_id` is None where the job ran without one."""

    def __init__(self, message: str, job_id: str, session_id: str | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.session_id = session_id


class JobFailed(JobError):
    """
    The job has failed; `reason` is the service's own, `code` IBM's, None where it gave none.

    `lost_with_session` tells whether its session had ended before it could run.
    """

    def __init__(
        self,
        job_id: str,
        session_id: str | None,
        reason: str,
        *,
        code: int | None = None,
        retryable: bool = False,
        lost_with_session: bool = False,
    ) -> None:
        advice = (
            "The cause may pass: ask again."
            if retryable
            else "Another job would meet the same: change what is asked."
        )
        super().__init__(
            f"Job {job_id}{_in_session(session_id)} failed: {reason.strip()} {advice}",
            job_id,
            session_id,
        )
        self.reason = reason
        self.code = code
        self.retryable = retryable
        self.lost_with_session = lost_with_session


class JobCancelled(JobError):
    """The job was cancelled, and has no result."""

    retryable = True

    def __init__(self, job_id: str, session_id: str | None = None) -> None:
        super().__init__(
            f"Job {job_id}{_in_session(session_id)} was cancelled and has no result. "
            "Ask again to have a new job.",
            job_id,
            session_id,
        )


class ResultNotReady(JobError, TimeoutError):
    """The job was not over within the time that `result(timeout=...)` was given."""

    retryable = True

    def __init__(self, job_id: str, session_id: str | None = None) -> None:
        super().__init__(
            f"Job {job_id} is not over yet. Ask for its result again: it goes on meanwhile.",
            job_id,
            session_id,
        )


def _in_session(session_id: str | None) -> str:
    return f" of session {session_id}" if session_id else ""
