"""What is done to a flow run, as data; `flow_runs` carries it out."""

from dataclasses import dataclass
from enum import StrEnum
from signal import Signals


class Target(StrEnum):
    """Which processes."""

    FLOW = "the flow's process"
    SUPERVISOR = "its supervisor"
    BOTH = "both"
    GROUP = "the whole process group"
    GUARDIAN = "the guardian"


@dataclass(frozen=True)
class Send:
    """Send a signal."""

    signal: Signals
    target: Target = Target.FLOW


@dataclass(frozen=True)
class LetGo:
    """Let the flow run go on from where it waits between jobs, and end by itself."""


@dataclass(frozen=True)
class RunOut:
    """Wait until the flow run has had the time that its `timeout_seconds` gives it."""


@dataclass(frozen=True)
class CancelRun:
    """Cancel the flow run from outside."""

    by_cli: bool = False


@dataclass(frozen=True)
class Resume:
    """Resume the flow run once it is paused or suspended."""


@dataclass(frozen=True)
class KillServer:
    """Kill the Prefect server."""


@dataclass(frozen=True)
class Wait:
    """Let some real seconds pass."""

    seconds: float


@dataclass(frozen=True)
class WaitForDeath:
    """Wait until the flow's process is gone."""


@dataclass(frozen=True)
class Mend:
    """Have the service do well again, and answer what it held back."""


@dataclass(frozen=True)
class Break:
    """Have the service do badly at the release of a session."""

    how: str
    """A name in `releases.FAULTS`."""


@dataclass(frozen=True)
class Reap:
    """Run the reaper once."""


Step = (
    Send
    | LetGo
    | RunOut
    | CancelRun
    | Resume
    | KillServer
    | Wait
    | WaitForDeath
    | Mend
    | Break
    | Reap
)
