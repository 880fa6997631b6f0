"""Sessions and jobs as the session report knows them: their stages, and since when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from prefect_qsession.config.modes import Mode


class Stage(StrEnum):
    """Where a session stands, for people: `queued` until its first job starts, then `active`."""

    OPENING = "opening"
    QUEUED = "queued"
    ACTIVE = "active"
    RELEASING = "releasing"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    LOST = "lost"
    REFUSED = "refused"
    LEFT_OPEN = "perhaps open"

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self in (Stage.CLOSED, Stage.CANCELLED, Stage.LOST, Stage.REFUSED)


class JobStage(StrEnum):
    """Where a job stands."""

    SUBMITTED = "submitted"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass
class WorkloadHistory:
    """One session, batch, or way to submit single jobs, from its opening to its end."""

    changes: list[tuple[Stage, datetime]]
    """Each stage, and when it began."""
    session_id: str | None = None
    mode: Mode | None = None
    backend: str | None = None
    page: str | None = None
    first_job_at: datetime | None = None
    queue_seconds: float | None = None
    usage_seconds: float | None = None
    reason: str | None = None
    """Why it was lost, refused or left open."""

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        return self.changes[-1][0]

    @property
    def may_start(self) -> bool:
        """Whether it has queued, and is not known to have started; perhaps it is over by now."""
        stages = {stage for stage, _ in self.changes}
        return Stage.QUEUED in stages and Stage.ACTIVE not in stages

    def start(self, at: datetime) -> None:
        """Note when it has left the queue: what workers tell comes later than what came after."""
        later = [
            change for change in self.changes if change[0] not in (Stage.OPENING, Stage.QUEUED)
        ]
        before = self.changes[: len(self.changes) - len(later)]
        self.changes = [*before, (Stage.ACTIVE, min([at, *(time for _, time in later)])), *later]

    def since(self, stage: Stage) -> datetime | None:
        """Return when it came to this stage; None if it never has."""
        return next((at for each, at in self.changes if each is stage), None)


@dataclass
class JobHistory:
    """One job, from when it was submitted or taken up until its end is known here."""

    job_id: str
    program: str
    at: datetime
    session_id: str | None = None
    is_reattached: bool = False
    stage: JobStage = JobStage.SUBMITTED
    running_at: datetime | None = None
    over_at: datetime | None = None
    charged_seconds: float | None = None
    begins_round: bool = False
    """Whether no other job of the run was under way when it was submitted."""

    @property
    def is_over(self) -> bool:
        """Whether its end is known."""
        return self.over_at is not None


@dataclass(frozen=True)
class BudgetUse:
    """How much of a budget is spent."""

    name: str
    spent_seconds: float
    cap_seconds: float
