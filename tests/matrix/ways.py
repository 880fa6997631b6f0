"""
The words of the matrix: a way to end a flow run, where, when, and what must become of its session.

`rows` has them all; `trials` carries them out; `pytest tests/matrix` prints what was measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tests.harness.places import PlaceName
from tests.harness.steps import Step

CLOSE, CANCEL = "close", "cancel"
UNUSED = "unused"
"""The service closed a session that never had a job, which costs nothing."""

SCRIPT, FLOW_SERVE, SERVE, WORKER = PlaceName
EVERYWHERE = tuple(PlaceName)
SUPERVISED = (FLOW_SERVE, SERVE, WORKER)
IMPORTED = (SERVE, WORKER)
"""Where a run's process imports its flow."""

AFTER_DEATH = 2.0
"""The guardian's promise."""
AT_ONCE = 5.0
"""One request to the service by the flow's own process; seconds on a busy machine."""
AFTER_EXIT = 8.0
"""Prefect gets the flow run's state to the server, and joins a thread that wakes up each second."""
AFTER_A_LOOK = 4.0
"""The monitor looks every second."""
AFTER_POLLING = 8.0
"""A runner hears of a cancellation by an event, or asks every few seconds."""


class Moment(StrEnum):
    """When the end comes."""

    OPENING = "while the session is being opened"
    QUEUED = "while a job is queued"
    RUNNING = "while a job runs"
    BETWEEN = "between jobs"


class Layer(StrEnum):
    """Who releases the session."""

    BODY = "around the body"
    EXIT = "task runner's exit"
    MONITOR = "monitor"
    GUARDIAN = "guardian"
    HOOK = "Prefect's hook"
    REAPER = "reaper"
    SERVICE = "none: never used, never billed"


@dataclass(frozen=True, eq=False)
class Way:
    """
    A way to end a flow run; *end* is what ends it.

    Args:
        name: What to call it.
        end: What ends it, as steps.
        layer: Who then releases its session.
        limit: How long after the end no session may take jobs any more, in seconds; by its layer,
            if left out.
        outcomes: How each of its sessions ends, in any order, by the emulator's record.
        moment: When the end comes.
        before: What is done at that moment, before the end.
        flow: A name in `flows`.
        parameters: What the flow is told to do.
        call: How a script calls the flow: a name in `calls.CALLS`.
        flow_runs: How many flow runs must have come to the moment.
        environment: What a script is started with besides.
        places: Where it is tried.
    """

    name: str
    end: tuple[Step, ...]
    layer: Layer
    limit: float | None = None
    outcomes: tuple[str, ...] = (CANCEL,)
    moment: Moment = Moment.BETWEEN
    before: tuple[Step, ...] = ()
    flow: str = "decorated"
    parameters: Mapping[str, str] = field(default_factory=dict)
    call: str = "directly"
    flow_runs: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    places: tuple[PlaceName, ...] = (SCRIPT,)

    @property
    def within_seconds(self) -> float:
        """How long after the end no session may take jobs any more."""
        if self.limit is not None:
            return self.limit
        return AFTER_DEATH if self.layer is Layer.GUARDIAN else AT_ONCE


RAISES = {"shape": "raises"}
IN_A_SUBMITTED_TASK = {"jobs_in": "submitted task"}

_ASYNC = {"decorated": "decorated_async", "plain": "plain_async", "timed": "timed_async"}


def and_async(*ways: Way) -> tuple[Way, ...]:
    """Return the ways, each also with an async flow in place of the sync one."""
    return tuple(
        each
        for way in ways
        for each in (way, replace(way, name=f"{way.name}, async", flow=_ASYNC[way.flow]))
    )
