"""IBM's codes and the client's words, and what they mean to a flow run."""

from enum import StrEnum

from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import SessionRefused

SESSION_CLOSED_CODES = frozenset({1217, 4001})
"""IBM's codes for a job whose session had ended before it could run (errors reference)."""

PASSING_CODES = SESSION_CLOSED_CODES | {1004, 1202, 1999, 9707}
"""
IBM's codes of failures that another job need not meet: of its session, of a backend that is
unavailable, of too many requests, of a planned outage, of the service inside (errors reference).
"""

PASSED_ON: dict[Mode, frozenset[int]] = {
    # "You are not authorized to run a session when using the open plan."
    Mode.SESSION: frozenset({1352}),
    # The same of batches, in case a plan has none; and a request that does not validate, because
    # max_time is longer than the plan's batches: ten minutes on the Open plan. A session's own 1208
    # is not passed on, for there it is the user's mistake.
    Mode.BATCH: frozenset({1352, 1208}),
}
"""IBM's codes of refusals in each mode that another mode need not meet (errors reference)."""


def lets_next_be_tried(mode: Mode, error: Exception) -> bool:
    """
    Tell whether this failure to open in `mode` lets the next mode be tried.

    Only a refusal for what the plan allows does. An outage, a bad key or a used-up allowance would
    meet the next mode as well, or hide there what has to be mended.
    """
    return isinstance(error, SessionRefused) and error.code in PASSED_ON.get(mode, ())


class Standing(StrEnum):
    """How a job stands, as far as a request that finds it must know."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """For a cause that another job would meet as well."""
    FAILED_IN_PASSING = "failed in passing"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to the job."""
        return self not in (Standing.QUEUED, Standing.RUNNING)


def standing_of(status: str, code: int | None) -> Standing:
    """Return the standing of a job by the client's word for its status, and the error's code."""
    match status:
        case "DONE":
            return Standing.DONE
        case "CANCELLED":
            return Standing.CANCELLED
        case "ERROR":
            return Standing.FAILED_IN_PASSING if code in PASSING_CODES else Standing.FAILED
        case "RUNNING":
            return Standing.RUNNING
        case _:
            return Standing.QUEUED
