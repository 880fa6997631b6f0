"""Jobs, sessions and batches: what they are and how they change state. When, the scheduler says."""

import math
from collections import deque
from dataclasses import dataclass, field

from prefect_qsession.emulator.agenda import Appointment
from prefect_qsession.emulator.records import EndedBy, JobRecord, Mode, SessionRecord, Transition
from prefect_qsession.emulator.simulation import Outcome
from prefect_qsession.emulator.states import (
    FINAL_JOB_STATES,
    JobEvent,
    JobState,
    SessionEvent,
    SessionState,
    next_job_state,
    next_session_state,
)


@dataclass(eq=False, slots=True)
class Session:
    """A session (mode `dedicated`) or a batch."""

    id: str
    instance: str
    backend: str
    mode: Mode
    created: float
    max_ttl_seconds: int
    interactive_ttl_seconds: float
    state: SessionState = SessionState.OPEN
    reason: str = "session_created"
    accepting_jobs: bool = True
    started: float | None = None
    activated: float | None = None
    closed: float | None = None
    last_job_started: float | None = None
    last_job_completed: float | None = None
    leaving: EndedBy = "close"
    ended_by: EndedBy | None = None
    jobs: list["Job"] = field(default_factory=list)
    waiting: deque["Job"] = field(default_factory=deque)
    running: "Job | None" = None
    transitions: list[Transition] = field(default_factory=list)
    deadline: Appointment | None = None
    idle: Appointment | None = None
    _active_seconds: float = 0.0
    _active_since: float | None = None

    def __post_init__(self) -> None:
        """Note the opening."""
        self.transitions.append(Transition(str(self.state), self.created))

    def undergo(self, event: SessionEvent, at: float, reason: str) -> None:
        """Change state, or raise `IllegalTransition` and change nothing."""
        self.state = next_session_state(self.state, event)
        self.reason = reason
        self.transitions.append(Transition(str(self.state), at))
        if self.state is SessionState.ACTIVE:
            self.activated = self._active_since = at
            self.started = at if self.started is None else self.started
        elif self.running is None:
            self.stop_metering(at)
        if self.state is SessionState.CLOSED:
            self.closed = at
            self.accepting_jobs = False

    def stop_metering(self, at: float) -> None:
        """
        End the billed interval.

        A session is billed from its first job's start until it leaves the active state or its last
        job completes, whichever is later (estimate-job-run-time guide).
        """
        if self._active_since is not None:
            self._active_seconds += at - self._active_since
            self._active_since = None

    def usage_seconds(self, now: float) -> float:
        """Return what is billed by *now*: active time of a session, QPU time of a batch."""
        if self.mode == "batch":
            return float(sum(job.charged_seconds or 0 for job in self.jobs))
        running_seconds = 0.0 if self._active_since is None else now - self._active_since
        return round(self._active_seconds + running_seconds, 6)

    def active_ttl_seconds(self, now: float) -> float:
        """Return how long it may still be active."""
        if self.started is None:
            return float(self.max_ttl_seconds)
        end = now if self.closed is None else self.closed
        return max(0.0, self.max_ttl_seconds - (end - self.started))

    @property
    def has_work(self) -> bool:
        """Whether a job of it waits or runs."""
        return bool(self.waiting) or self.running is not None

    def record(self, now: float) -> SessionRecord:
        """Return a frozen copy."""
        return SessionRecord(
            id=self.id,
            backend=self.backend,
            mode=self.mode,
            state=str(self.state),
            reason=self.reason,
            accepting_jobs=self.accepting_jobs,
            transitions=tuple(self.transitions),
            ended_by=self.ended_by,
            job_ids=tuple(job.id for job in self.jobs),
            created=self.created,
            started=self.started,
            closed=self.closed,
            usage_seconds=self.usage_seconds(now),
            instance=self.instance,
        )


@dataclass(eq=False, slots=True)
class Job:
    """A job, with the request body it came in."""

    id: str
    ordinal: int
    instance: str
    backend: str
    program_id: str
    body: bytes
    created: float
    max_seconds: int
    session: Session | None
    tags: tuple[str, ...] = ()
    private: bool = False
    state: JobState = JobState.QUEUED
    started: float | None = None
    finished: float | None = None
    qpu_seconds: float | None = None
    charged_seconds: int | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    reason_code: int | None = None
    reason_solution: str | None = None
    result_was_read: bool = False
    transitions: list[Transition] = field(default_factory=list)
    ending: Appointment | None = None

    def __post_init__(self) -> None:
        """Note the creation."""
        self.transitions.append(Transition(str(self.state), self.created))

    def undergo(self, event: JobEvent, at: float) -> None:
        """Change state, or raise `IllegalTransition` and change nothing."""
        self.state = next_job_state(self.state, event)
        self.transitions.append(Transition(str(self.state), at))
        if self.state is JobState.RUNNING:
            self.started = at
        else:
            self.finished = at

    def explain(self, reason: str | None, code: int | None, solution: str | None = None) -> None:
        """Note why it ended as it did."""
        self.reason, self.reason_code, self.reason_solution = reason, code, solution

    def charge(self, seconds: float) -> None:
        """Bill QPU time: the service charges whole seconds."""
        self.charged_seconds = math.ceil(round(seconds, 6))

    @property
    def is_final(self) -> bool:
        """Whether its state can no longer change."""
        return self.state in FINAL_JOB_STATES

    def record(self) -> JobRecord:
        """Return a frozen copy."""
        return JobRecord(
            id=self.id,
            backend=self.backend,
            program=self.program_id,
            status=str(self.state),
            reason=self.reason,
            reason_code=self.reason_code,
            transitions=tuple(self.transitions),
            created=self.created,
            started=self.started,
            finished=self.finished,
            queue_seconds=None if self.started is None else round(self.started - self.created, 6),
            qpu_seconds=self.qpu_seconds,
            charged_seconds=self.charged_seconds,
            executions=None if self.outcome is None else self.outcome.executions,
            session_id=None if self.session is None else self.session.id,
            tags=self.tags,
            instance=self.instance,
        )
