"""What can become of a flow run's session, and what is known of a trial at last."""

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.chaos.ways import Draw


class Outcome(StrEnum):
    """What became of a flow run's session."""

    RELEASED = "released"
    NEVER_OPENED = "never opened"
    UNUSED = "unused"
    """Opened, but its flow was dead before the first job: never billed, closed by the service."""
    LEFT_OPEN = "left open"
    REAPED = "reaped"
    """Released by the reaper, where no guardian could act."""
    LEFT_OPEN_AFTER_REAPING = "left open after reaping"


@dataclass(frozen=True)
class Trial:
    """What was drawn, and what became of the flow run's session, by the emulator's record."""

    draw: Draw
    moment: str
    """Where the flow run was in its life when it was ended."""
    outcome: Outcome
    ended_by: str | None
    """How the session ended."""
    seconds: float | None
    """From the end of the flow run, or the opening if later, until it took no more jobs."""
    jobs_left_queued: int
    released_early: bool
    """Whether the session was released before the flow run was ended or stopped by itself."""
    stopped_early: bool
    """Whether the flow run stopped by itself before it was ended."""
    processes_left: tuple[str, ...] = ()
    """Commands of the processes that had to be killed at last."""
