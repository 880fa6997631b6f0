"""Jobs, sessions and batches: what they are and how they change state. When, the scheduler says."""

import math
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.rules.accounts import Account
from prefect_qsession.emulator.rules.reasons import UNSAID, InjectedFailure, Reason
from prefect_qsession.emulator.rules.records import (
    EndedBy,
    JobRecord,
    Mode,
    SessionRecord,
    Transition,
)
from prefect_qsession.emulator.rules.simulation import Outcome
from prefect_qsession.emulator.rules.states import (
    FINAL_JOB_STATES,
    JobEvent,
    JobState,
    SessionEvent,
    SessionState,
    next_job_state,
    next_session_state,
)
from prefect_qsession.emulator.rules.timers import Timer

MAX_TAGS = 8
MAX_TAG_LENGTH = 86


@dataclass(frozen=True)
class Client:
    """The software a job came from, as far as it says."""

    qiskit_version: str | None = None
    caller: str | None = None

    @classmethod
    def of_header(cls, text: str) -> Self:
        """
        Read what the client calls itself in the header `X-Qx-Client-Application`.

        Such as `.../qiskit_ibm_runtime-0.51.0,qiskit-2.6.2*,.../qiskit[_ibm_runtime~sampler.py]`.
        """
        version = re.search(r"(?:^|[/,])qiskit-([0-9][^,*/]*)", text)
        caller = re.search(r"qiskit\[(_[^]]*)\]", text)
        return cls(
            None if version is None else version[1],
            None if caller is None else f"qiskit{caller[1]}",
        )


UNKNOWN_CLIENT = Client()


@dataclass(eq=False, slots=True)
class Session:
    """A session (mode `dedicated`) or a batch."""

    id: str
    instance: str
    account: Account
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
    running: list["Job"] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    deadline: Timer | None = None
    idle: Timer | None = None
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
            if self.mode == "dedicated":
                self.account.start_meter(at)
            self.started = at if self.started is None else self.started
        elif not self.running:
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
            if self.mode == "dedicated":
                self.account.stop_meter(self._active_since, at)
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
        return bool(self.waiting or self.running)

    @property
    def is_exclusive(self) -> bool:
        """Whether it has its device to itself while it is active."""
        return self.mode == "dedicated"

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
            qpu_seconds=round(sum(j.qpu_seconds or 0.0 for j in self.jobs if j.is_final), 6),
            instance=self.instance,
        )


@dataclass(eq=False, slots=True)
class Job:
    """A job, with the request body it came in."""

    id: str
    ordinal: int
    instance: str
    account: Account
    backend: str
    program_id: str
    body: bytes
    created: float
    max_seconds: int
    session: Session | None
    tags: tuple[str, ...] = ()
    private: bool = False
    injected_failure: InjectedFailure | None = None
    is_dry_run: bool = False
    client: Client = UNKNOWN_CLIENT
    state: JobState = JobState.QUEUED
    started: float | None = None
    qpu_started: float | None = None
    finished: float | None = None
    qpu_seconds: float | None = None
    charged_seconds: int | None = None
    outcome: Outcome | None = None
    reason: Reason = UNSAID
    result_was_read: bool = False
    transitions: list[Transition] = field(default_factory=list)
    next_step: Timer | None = None

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

    def charge(self, seconds: float, at: float) -> None:
        """Bill QPU time: whole seconds, a session's jobs by its own time, a dry run not at all."""
        self.charged_seconds = 0 if self.is_dry_run else math.ceil(round(seconds, 6))
        if not self.is_session_billed:
            self.account.charge(self.charged_seconds, at)

    def forget(self) -> None:
        """Let go of what is large about a job that is over: its parameters and its result."""
        self.body = b""
        if self.outcome is not None:
            self.outcome = replace(self.outcome, result=None)

    @property
    def size(self) -> int:
        """How many bytes its parameters and its result have."""
        result = None if self.outcome is None else self.outcome.result
        return len(self.body) + len(result or b"")

    @property
    def is_session_billed(self) -> bool:
        """Whether its session pays, by the time it is active."""
        return self.session is not None and self.session.mode == "dedicated"

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
            reason=self.reason.text,
            reason_code=self.reason.code,
            transitions=tuple(self.transitions),
            created=self.created,
            started=self.started,
            qpu_started=self.qpu_started,
            finished=self.finished,
            queue_seconds=None if self.started is None else round(self.started - self.created, 6),
            qpu_seconds=self.qpu_seconds,
            charged_seconds=self.charged_seconds,
            executions=None if self.outcome is None else self.outcome.executions,
            session_id=None if self.session is None else self.session.id,
            tags=self.tags,
            instance=self.instance,
        )


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags, or refuse too many or too long ones."""
    checked = tuple(tags)
    if len(checked) > MAX_TAGS:
        raise errors.too_many_tags(MAX_TAGS)
    if any(len(tag) > MAX_TAG_LENGTH for tag in checked):
        raise errors.tag_too_long(MAX_TAG_LENGTH)
    return checked
