"""
What the service has opened for the jobs of one flow run, behind the port that the policies know: a
session or a batch; or nothing, where each job goes in by itself.
"""

from datetime import datetime

from qiskit_ibm_runtime import Batch, IBMBackend, Session

from prefect_qsession.config.modes import Mode
from prefect_qsession.ibm.codes import ACTIVE, CLOSED, Standing
from prefect_qsession.ibm.errors import translated
from prefect_qsession.ibm.jobs import PAGE, cancel_job, job_status
from prefect_qsession.ibm.records import WorkloadDetails


class TimedWorkload:
    """
    A session or batch of the service's.

    Every method translates the client's errors, and raises a `ServiceError` where the service did
    not confirm, or answer. A clock of the service's runs for it: it has to be released, and guarded
    until it is.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def mode(self) -> Mode:
        """What it is: a session or a batch."""
        return Mode.BATCH if isinstance(self._session, Batch) else Mode.SESSION

    @property
    def client_mode(self) -> Session:
        """What the client's primitives take as their mode; a `Batch` is a `Session`, too."""
        return self._session

    @property
    def session_id(self) -> str:
        """The service's id of the session."""
        return str(self._session.session_id)

    def close(self) -> None:
        """Take no new jobs and let accepted ones finish; safe to repeat."""
        with translated(f"close {self.mode} {self.session_id}", self.session_id):
            self._session.close()

    def cancel(self) -> None:
        """Take no new jobs and drop those that have not started; safe to repeat."""
        with translated(f"cancel {self.mode} {self.session_id}", self.session_id):
            self._session.cancel()

    def details(self) -> WorkloadDetails:
        """Ask the service how the session stands."""
        with translated(f"read {self.mode} {self.session_id}", self.session_id):
            details = self._session.details() or {}
        state, started = details.get("state", "unknown"), details.get("started_at")
        return WorkloadDetails(
            session_id=self.session_id,
            backend_name=details.get("backend_name"),
            state=state,
            is_active=state == ACTIVE,
            is_closed=state == CLOSED,
            accepting_jobs=bool(details.get("accepting_jobs")),
            started_at=datetime.fromisoformat(started) if started else None,
            usage_seconds=details.get("usage_time"),
        )


class JobModeWorkload:
    """
    Stand for the session where there is none: each job of the flow run goes in by itself.

    The service knows nothing that binds them but the tag that each carries, and no clock runs
    between them, so there is nothing to guard.

    Args:
        backend: Where the jobs run.
        run_tag: The tag on every job of the flow run.
    """

    mode = Mode.JOB

    def __init__(self, backend: IBMBackend, run_tag: str) -> None:
        self._backend = backend
        self._run_tag = run_tag

    @property
    def client_mode(self) -> IBMBackend:
        """What the client's primitives take as their mode."""
        return self._backend

    @property
    def session_id(self) -> str:
        """A name for people; the service knows no such id."""
        return f"jobs-of-{self._run_tag.rpartition(':')[2]}"

    def close(self) -> None:
        """Do nothing: accepted jobs finish, and nothing is open."""

    def cancel(self) -> None:
        """
        Cancel the flow run's jobs that have not started, the latest first; safe to repeat.

        The service cannot cancel a job on the condition that it still waits, so one that starts
        between the look and the request is cancelled as well.

        Raises:
            ServiceError: The service did not list them, or did not confirm all; the rest is left.
        """
        while self._cancel_latest():
            pass

    def details(self) -> WorkloadDetails:
        """Say what is known without asking: that jobs may come, and that no time runs."""
        return WorkloadDetails(
            session_id=self.session_id,
            backend_name=self._backend.name,
            state="open",
            is_active=False,
            is_closed=False,
            accepting_jobs=True,
            started_at=None,
            usage_seconds=None,
        )

    def _cancel_latest(self) -> bool:
        """Cancel what is queued among the latest jobs; return whether there may be more of it."""
        with translated(f"list the {self.session_id}"):
            # Always the first page: those that are cancelled leave the list, and the client asks
            # for ever if the list has become shorter than what it was told to skip.
            latest = self._backend.service.jobs(limit=PAGE, pending=True, job_tags=[self._run_tag])
        cancelled = [cancel_job(job) for job in latest if job_status(job) is Standing.QUEUED]
        return any(cancelled) and len(latest) == PAGE


RuntimeWorkload = TimedWorkload | JobModeWorkload
"""What takes the jobs of a flow run, in any mode."""
