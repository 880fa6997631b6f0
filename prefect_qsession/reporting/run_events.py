"""
What happens to the session and the jobs of a flow run.

Whoever brings something about emits its event, once, by the run's `RunEventEmitter`. The log, the
session report and Prefect's events all come of these. The payload of Prefect's event is the fields
of ours, so these classes are the contract that `docs/events.md` prints.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from prefect_qsession import exceptions
from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import JobError
from prefect_qsession.states import Release, SessionState


class RunEvent:
    """Something that has happened; `name` is its name in Prefect, less the `qsession.`."""

    name: ClassVar[str]


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
class OpeningEvent(RunEvent):
    """A job needs a session: it is asked for."""

    name = "session.opening"


@dataclass(frozen=True)
class ModeFallbackEvent(RunEvent):
    """The plan refused a mode, and the next one is tried."""

    name = "mode.fallback"

    mode: Mode
    instead: Mode
    reason: str


@dataclass(frozen=True)
class RefusedEvent(RunEvent):
    """The service did not open the session, or it could not be safeguarded."""

    name = "session.refused"

    reason: str


@dataclass(frozen=True)
class OpenedEvent(RunEvent):
    """The session takes jobs; it bills from the start of its first one."""

    name = "session.opened"

    session_id: str
    mode: Mode
    backend: str
    max_time_seconds: int | None = None
    page: str | None = None
    """Where people find it at the service; None where there is no such page."""


@dataclass(frozen=True)
class LongQueueEvent(RunEvent):
    """The session's first job, or a job without a session, has queued for very long."""

    name = "queue.long"

    waited_seconds: float
    session_id: str | None = None
    job_id: str | None = None


@dataclass(frozen=True)
class StartedEvent(RunEvent):
    """The session's first job has left the queue: from here on it bills."""

    name = "session.started"

    session_id: str
    queue_seconds: float


@dataclass(frozen=True)
class LostEvent(RunEvent):
    """The service, or somebody else, has ended the session while the flow run goes on."""

    name = "session.lost"

    session_id: str
    reason: str


@dataclass(frozen=True)
class ReleasingEvent(RunEvent):
    """The service is asked to close or cancel the session."""

    name = "session.releasing"

    session_id: str
    outcome: Release


@dataclass(frozen=True)
class ReleasedEvent(RunEvent):
    """The service has confirmed that the session is closed or cancelled."""

    name = "session.released"

    session_id: str
    state: SessionState
    by: ReleasedBy = ReleasedBy.PROCESS
    usage_seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class LeftOpenEvent(RunEvent):
    """The service did not confirm the release: the guardian and the reaper go on with it."""

    name = "session.left_open"

    session_id: str
    reason: str
    max_time_seconds: int


@dataclass(frozen=True)
class BudgetWarningEvent(RunEvent):
    """Four fifths of a budget are spent."""

    name = "budget.warning"

    budget: str
    spent_seconds: float
    cap_seconds: float | None = None


# -- the jobs


@dataclass(frozen=True)
class JobSubmittedEvent(RunEvent):
    """The service has accepted a new job."""

    name = "job.submitted"

    job_id: str
    session_id: str
    """Of its session or batch; in job mode a name that the flow run's jobs share."""
    program: str


@dataclass(frozen=True)
class JobReattachedEvent(RunEvent):
    """A job of an earlier attempt answers what is asked again; it is not paid again."""

    name = "job.reattached"

    job_id: str
    program: str


@dataclass(frozen=True)
class JobRunningEvent(RunEvent):
    """A job has left the queue."""

    name = "job.running"

    job_id: str


@dataclass(frozen=True)
class JobCompletedEvent(RunEvent):
    """A job has a result."""

    name = "job.completed"

    job_id: str


@dataclass(frozen=True)
class JobFailedEvent(RunEvent):
    """A job has no result."""

    name = "job.failed"

    job_id: str
    reason: str
    code: int | None = None


@dataclass(frozen=True)
class JobCancelledEvent(RunEvent):
    """A job was cancelled before it had a result."""

    name = "job.cancelled"

    job_id: str
    reason: str


EndOfJob = JobCompletedEvent | JobFailedEvent | JobCancelledEvent


def end_of_job(job_id: str, error: JobError | None) -> EndOfJob:
    """Return the event that a job is over, with its result or with this error."""
    if error is None:
        return JobCompletedEvent(job_id)
    if isinstance(error, exceptions.JobFailed):
        return JobFailedEvent(job_id, str(error), error.code)
    return JobCancelledEvent(job_id, str(error))


# -- the user's own numbers


@dataclass(frozen=True)
class TrackedEvent(RunEvent):
    """The flow has called `track`."""

    name = "iteration.tracked"

    values: Mapping[str, float] = field(default_factory=dict)
    iteration: int | None = None
    total: int | None = None


RUN_EVENTS: tuple[type[RunEvent], ...] = tuple(RunEvent.__subclasses__())
"""The contract, whole, in the order of a session's life."""
