"""
What happens to the session and the jobs of a flow run, as facts.

Whoever brings something about tells it, once, to the run's `Journal`. The log, the session report
and the events all speak of these facts. The payload of an event is what stands in its fact, so
these classes are the contract that `docs/events.md` prints.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol

from prefect_qsession import exceptions
from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import JobError
from prefect_qsession.states import Outcome, SessionState


class Happening:
    """A fact; `event` is the name of its event, without the `qsession.` before it."""

    event: ClassVar[str]


class Journal(Protocol):
    """Where the happenings of a flow run are told."""

    def tell(self, happening: Happening) -> None:
        """Take note of what happens here and now; returns at once, never raises."""
        ...


class ReleasedBy(StrEnum):
    """Who released a session."""

    PROCESS = "process"
    """The flow's own process, as a rule."""
    GUARDIAN = "guardian"
    """The process beside it, when it died."""
    HOOK = "hook"
    """Prefect's runner or worker, when the flow run crashed or was cancelled."""
    REAPER = "reaper"
    """The reaper, or `qsession reap`."""
    COMMAND = "command"
    """Somebody, by `qsession close` or `qsession cancel`."""


# -- the session


@dataclass(frozen=True)
class SessionOpening(Happening):
    """A job needs a session: it is asked for."""

    event = "session.opening"


@dataclass(frozen=True)
class ModeFallback(Happening):
    """The plan refused a mode, and the next one is tried."""

    event = "mode.fallback"

    mode: Mode
    instead: Mode
    reason: str


@dataclass(frozen=True)
class SessionRefused(Happening):
    """The service did not open the session, or it could not be safeguarded."""

    event = "session.refused"

    reason: str


@dataclass(frozen=True)
class SessionOpened(Happening):
    """The session takes jobs; it bills from the start of its first one."""

    event = "session.opened"

    session_id: str
    mode: Mode
    backend: str
    max_time_seconds: int | None = None
    page: str | None = None
    """Where people find it at the service; None where there is no such page."""


@dataclass(frozen=True)
class QueueLong(Happening):
    """The session's first job, or a job without a session, has queued for very long."""

    event = "queue.long"

    waited_seconds: float
    session_id: str | None = None
    job_id: str | None = None


@dataclass(frozen=True)
class SessionStarted(Happening):
    """The session's first job has left the queue: from here on it bills."""

    event = "session.started"

    session_id: str
    queue_seconds: float


@dataclass(frozen=True)
class SessionLost(Happening):
    """The service, or somebody else, has ended the session while the flow run goes on."""

    event = "session.lost"

    session_id: str
    reason: str


@dataclass(frozen=True)
class SessionReleasing(Happening):
    """The service is asked to close or cancel the session."""

    event = "session.releasing"

    session_id: str
    outcome: Outcome


@dataclass(frozen=True)
class SessionReleased(Happening):
    """The service has confirmed that the session is closed or cancelled."""

    event = "session.released"

    session_id: str
    state: SessionState
    by: ReleasedBy = ReleasedBy.PROCESS
    usage_seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class SessionLeftOpen(Happening):
    """The service did not confirm the release: the guardian and the reaper go on with it."""

    event = "session.left_open"

    session_id: str
    reason: str
    max_time_seconds: int


@dataclass(frozen=True)
class BudgetWarning(Happening):
    """Four fifths of a budget are spent."""

    event = "budget.warning"

    budget: str
    spent_seconds: float
    cap_seconds: float | None = None


# -- the jobs


@dataclass(frozen=True)
class JobSubmitted(Happening):
    """The service has accepted a new job."""

    event = "job.submitted"

    job_id: str
    session_id: str
    """Of its session or batch; in job mode a name that the flow run's jobs share."""
    program: str


@dataclass(frozen=True)
class JobReattached(Happening):
    """A job of an earlier attempt answers what is asked again; it is not paid again."""

    event = "job.reattached"

    job_id: str
    program: str


@dataclass(frozen=True)
class JobRunning(Happening):
    """A job has left the queue."""

    event = "job.running"

    job_id: str


@dataclass(frozen=True)
class JobCompleted(Happening):
    """A job has a result, which has arrived."""

    event = "job.completed"

    job_id: str


@dataclass(frozen=True)
class JobFailed(Happening):
    """A job has no result."""

    event = "job.failed"

    job_id: str
    reason: str
    code: int | None = None


@dataclass(frozen=True)
class JobCancelled(Happening):
    """A job was cancelled before it had a result."""

    event = "job.cancelled"

    job_id: str
    reason: str


def end_of_job(job_id: str, error: JobError | None) -> Happening:
    """Return the fact that a job is over, with its result or with this error."""
    if error is None:
        return JobCompleted(job_id)
    if isinstance(error, exceptions.JobFailed):
        return JobFailed(job_id, str(error), error.code)
    return JobCancelled(job_id, str(error))


# -- the user's own numbers


@dataclass(frozen=True)
class Tracked(Happening):
    """The flow has called `track`."""

    event = "iteration.tracked"

    values: Mapping[str, float] = field(default_factory=dict)
    iteration: int | None = None
    total: int | None = None


HAPPENINGS: tuple[type[Happening], ...] = (
    SessionOpening,
    ModeFallback,
    SessionRefused,
    SessionOpened,
    QueueLong,
    SessionStarted,
    SessionLost,
    SessionReleasing,
    SessionReleased,
    SessionLeftOpen,
    BudgetWarning,
    JobSubmitted,
    JobReattached,
    JobRunning,
    JobCompleted,
    JobFailed,
    JobCancelled,
    Tracked,
)
"""The contract, whole, in the order of a session's life."""
