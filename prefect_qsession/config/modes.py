"""
The ways in which the service runs the jobs of a flow run, and which is tried after which.

A session holds the QPU for the flow run and bills the wall clock while it is active; a batch and
plain jobs bill the QPU alone, and queue. The Open plan has no sessions, and only short batches.
"""

from collections.abc import Sequence
from enum import StrEnum


class Mode(StrEnum):
    """How the jobs of a flow run belong together."""

    SESSION = "session"
    BATCH = "batch"
    JOB = "job"
    """Each by itself: nothing is opened, and nothing has to be released but jobs that queue."""
    AUTO = "auto"
    """A session if the plan has them; else what the policy falls back on."""


def modes_to_try(mode: Mode, fallback: Sequence[Mode]) -> tuple[Mode, ...]:
    """Return the modes to try for a policy's mode and fallback, the first one first."""
    return (Mode.SESSION, *fallback) if mode is Mode.AUTO else (mode,)
