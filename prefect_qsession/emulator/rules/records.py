"""What happened, for assertions and for the record: frozen copies of jobs and sessions."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Mode = Literal["dedicated", "batch"]
EndedBy = Literal["close", "cancel", "max_ttl", "unused", "usage_limit"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A state, and when it was entered."""

    state: str
    at: float


@dataclass(frozen=True)
class SessionRecord:
    """
    A session or batch as it stood when the record was taken.

    Times are seconds since the epoch on the service's clock. *ended_by* says what closed it, `None`
    while it is not closed; *usage_seconds* is what it would be billed by then, *qpu_seconds* the
    time for which its jobs that are over held the QPU.
    """

    id: str
    backend: str
    mode: Mode
    state: str
    reason: str
    accepting_jobs: bool
    transitions: tuple[Transition, ...]
    ended_by: EndedBy | None
    job_ids: tuple[str, ...]
    created: float
    started: float | None
    closed: float | None
    usage_seconds: float
    qpu_seconds: float
    instance: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class JobRecord:
    """
    A job as it stood when the record was taken.

    *started* is when it began to run, *qpu_started* when it got the QPU; *queue_seconds* is the
    time from creation to running, *qpu_seconds* the time the job holds the QPU, *charged_seconds*
    what it is billed; each is `None` as long as it is not known.
    """

    id: str
    backend: str
    program: str
    status: str
    reason: str | None
    reason_code: int | None
    transitions: tuple[Transition, ...]
    created: float
    started: float | None
    qpu_started: float | None
    finished: float | None
    queue_seconds: float | None
    qpu_seconds: float | None
    charged_seconds: int | None
    executions: int | None
    session_id: str | None
    tags: tuple[str, ...]
    instance: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)
