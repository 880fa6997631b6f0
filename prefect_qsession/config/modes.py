"""
The ways in which the service runs the jobs of a flow run, and which is tried after which.

A session holds the QPU for the flow run and bills the wall clock while it is active; a batch and
plain jobs bill the QPU alone, and queue. The Open plan has no sessions, and only short batches.
"""

from collections.abc import Sequence
from enum import StrEnum

from prefect_qsession.exceptions import SessionRefused


class Mode(StrEnum):
    """How the jobs of a flow run belong together."""

    SESSION = "session"
    BATCH = "batch"
    JOB = "job"
    """Each by itself: nothing is opened, and nothing has to be released but jobs that queue."""
    AUTO = "auto"
    """A session if the plan has them; else what the policy falls back on."""


PASSED_ON: dict[Mode, frozenset[int]] = {
    # "You are not authorized to run a session when using the open plan."
    Mode.SESSION: frozenset({1352}),
    # The same of batches, in case a plan has none; and a request that does not validate, because
    # max_time is longer than the plan's batches: ten minutes on the Open plan. A session's own 1208
    # is not passed on, for there it is the user's mistake.
    Mode.BATCH: frozenset({1352, 1208}),
}
"""IBM's codes of refusals in each mode that another mode need not meet (errors reference)."""


def modes_to_try(mode: Mode, fallback: Sequence[Mode]) -> tuple[Mode, ...]:
    """Return the modes to try for a policy's mode and fallback, the first one first."""
    return (Mode.SESSION, *fallback) if mode is Mode.AUTO else (mode,)


def lets_next_be_tried(mode: Mode, error: Exception) -> bool:
    """
    Tell whether this failure to open in `mode` lets the next mode be tried.

    Only a refusal for what the plan allows does. An outage, a bad key or a used-up allowance would
    meet the next mode as well, or hide there what has to be mended.
    """
    return isinstance(error, SessionRefused) and error.code in PASSED_ON.get(mode, ())
