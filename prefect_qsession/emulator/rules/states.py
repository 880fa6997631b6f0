"""
The states of sessions and jobs, as tables.

A pair that is not in a table is illegal: it raises `IllegalTransition` and changes nothing.
The rules are those of IBM's execution-modes and run-jobs-session guides; `docs/emulator.md` lists
them one by one.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class SessionState(StrEnum):
    """A session or batch, in the words of the service."""

    OPEN = "open"
    ACTIVE = "active"
    INACTIVE = "inactive"
    CLOSED = "closed"


class SessionEvent(StrEnum):
    """What happens to a session or batch."""

    JOB_DEQUEUED = "job dequeued"
    INTERACTIVE_TTL_EXPIRED = "interactive TTL expired"
    MAX_TTL_REACHED = "max TTL reached"
    USAGE_LIMIT_REACHED = "usage limit reached"
    DRAINED = "accepts no jobs and has none left"
    NEVER_USED = "never used"


class JobState(StrEnum):
    """A job, in the words of the service."""

    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class JobEvent(StrEnum):
    """What happens to a job."""

    START = "start"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"


class IllegalTransition(Exception):
    """The state does not allow the event. A bug in the emulator, never in its client."""

    def __init__(self, state: StrEnum, event: StrEnum) -> None:
        super().__init__(f"{event!s} is illegal in state {state!s}")
        self.state = state
        self.event = event


SESSION_TRANSITIONS: Mapping[tuple[SessionState, SessionEvent], SessionState] = MappingProxyType(
    {
        (SessionState.OPEN, SessionEvent.JOB_DEQUEUED): SessionState.ACTIVE,
        (SessionState.OPEN, SessionEvent.DRAINED): SessionState.CLOSED,
        (SessionState.OPEN, SessionEvent.NEVER_USED): SessionState.CLOSED,
        (SessionState.OPEN, SessionEvent.USAGE_LIMIT_REACHED): SessionState.CLOSED,
        (SessionState.ACTIVE, SessionEvent.INTERACTIVE_TTL_EXPIRED): SessionState.INACTIVE,
        (SessionState.ACTIVE, SessionEvent.MAX_TTL_REACHED): SessionState.CLOSED,
        (SessionState.ACTIVE, SessionEvent.USAGE_LIMIT_REACHED): SessionState.CLOSED,
        (SessionState.ACTIVE, SessionEvent.DRAINED): SessionState.CLOSED,
        (SessionState.INACTIVE, SessionEvent.JOB_DEQUEUED): SessionState.ACTIVE,
        (SessionState.INACTIVE, SessionEvent.MAX_TTL_REACHED): SessionState.CLOSED,
        (SessionState.INACTIVE, SessionEvent.USAGE_LIMIT_REACHED): SessionState.CLOSED,
        (SessionState.INACTIVE, SessionEvent.DRAINED): SessionState.CLOSED,
    }
)

JOB_TRANSITIONS: Mapping[tuple[JobState, JobEvent], JobState] = MappingProxyType(
    {
        (JobState.QUEUED, JobEvent.START): JobState.RUNNING,
        (JobState.QUEUED, JobEvent.FAIL): JobState.FAILED,
        (JobState.QUEUED, JobEvent.CANCEL): JobState.CANCELLED,
        (JobState.RUNNING, JobEvent.COMPLETE): JobState.COMPLETED,
        (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
        (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLED,
    }
)

FINAL_JOB_STATES = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


def next_session_state(state: SessionState, event: SessionEvent) -> SessionState:
    """Return the state *event* leads to, or raise `IllegalTransition`."""
    try:
        return SESSION_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None


def next_job_state(state: JobState, event: JobEvent) -> JobState:
    """Return the state *event* leads to, or raise `IllegalTransition`."""
    try:
        return JOB_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None
