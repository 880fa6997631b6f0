"""
IBM's words and codes, and what they mean to the rules: the one place that has them.

The sources are IBM's errors reference, its API reference, and its guides to plans and batches.
"""

from enum import StrEnum

from prefect_qsession.config.modes import Mode

SESSION_CLOSED_CODES = frozenset({1217, 4001})
"""Of a job whose session had ended before it could run."""

PASSING_CODES = SESSION_CLOSED_CODES | {1004, 1202, 1999, 9707}
"""
Of failures that another job need not meet: of its session, of a backend that is unavailable, of too
many requests, of a planned outage, of the service inside.
"""

RAN_TOO_LONG = 1305
"""Of a job that had its `max_execution_time`."""

PLAN_CODES: dict[Mode, frozenset[int]] = {
    # "You are not authorized to run a session when using the open plan."
    Mode.SESSION: frozenset({1352}),
    # The same of batches, in case a plan has none; and a request that does not validate, because
    # max_time is longer than the plan's batches: ten minutes on the Open plan. A session's own 1208
    # is not one of these, for there it is the user's mistake.
    Mode.BATCH: frozenset({1352, 1208}),
}
"""Of refusals in each mode that another mode need not meet."""

ACTIVE = "active"
"""The state of a session whose time is billed."""
CLOSED = "closed"

RUNS_JOBS = frozenset({"active", ""})
"""What a backend says of itself that runs jobs; while it is paused, it takes them all the same."""

NAMELESS_PLAN = "plan"
"""What the client calls every plan where it cannot ask for its name."""

LONGEST_BATCH_SECONDS = {"open": 600}
"""By plan, for those that have no sessions."""


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
    if status == "ERROR":
        return Standing.FAILED_IN_PASSING if code in PASSING_CODES else Standing.FAILED
    known = {"DONE": Standing.DONE, "CANCELLED": Standing.CANCELLED, "RUNNING": Standing.RUNNING}
    return known.get(status, Standing.QUEUED)
