"""
The log of a flow run's session: each thing once, at the level it deserves, with its ids.

Pure: from an event to a line. Who watches a flow run reads INFO and above; what every job
does is DEBUG, for its task run is in the log already.
"""

from functools import singledispatch
from logging import DEBUG, ERROR, INFO, WARNING

from prefect_qsession.config.modes import Mode
from prefect_qsession.reporting.run_events import (
    BudgetWarningEvent,
    JobCancelledEvent,
    JobCompletedEvent,
    JobFailedEvent,
    JobReattachedEvent,
    JobRunningEvent,
    JobSubmittedEvent,
    LeftOpenEvent,
    LongQueueEvent,
    LostEvent,
    ModeFallbackEvent,
    OpenedEvent,
    ReleasedEvent,
    RunEvent,
    StartedEvent,
    TrackedEvent,
)

LogLine = tuple[int, str]
"""A level of `logging`, and what is said."""


_LINES: dict[type[RunEvent], LogLine] = {
    ModeFallbackEvent: (WARNING, "No {it.mode} here, so trying a {it.instead}: {it.reason}"),
    StartedEvent: (
        INFO,
        (
            "Session {it.session_id} has started, after {it.queue_seconds:.0f} s in the queue: "
            "its time is billed now."
        ),
    ),
    LostEvent: (WARNING, "The service has ended session {it.session_id}: {it.reason}"),
    LeftOpenEvent: (
        ERROR,
        (
            "Session {it.session_id} may still be open: {it.reason} The guardian releases it when "
            "this process ends, the reaper when it looks; else it ends {it.max_time_seconds} s "
            "after its first job started."
        ),
    ),
    JobSubmittedEvent: (DEBUG, "Submitted job {it.job_id} into {it.session_id}."),
    JobReattachedEvent: (
        DEBUG,
        "Job {it.job_id} of an earlier attempt answers; it is not paid again.",
    ),
    JobRunningEvent: (DEBUG, "Job {it.job_id} has left the queue."),
    JobCompletedEvent: (DEBUG, "Job {it.job_id} has its result."),
    # The error that says so is logged by Prefect, if nobody catches it.
    JobFailedEvent: (DEBUG, "Job {it.job_id} has failed: {it.reason}"),
    JobCancelledEvent: (DEBUG, "Job {it.job_id} was cancelled: {it.reason}"),
}
"""Of the events whose line is the same but for what they carry; the others have functions below."""


@singledispatch
def line_of(event: RunEvent) -> LogLine | None:
    """Return what the log says of an event; None if nothing."""
    if type(event) not in _LINES:
        return None
    level, words = _LINES[type(event)]
    return level, words.format(it=event)


@line_of.register
def _opened(it: OpenedEvent) -> LogLine:
    if it.mode is Mode.JOB:
        return INFO, f"Jobs go to {it.backend} one by one, without a session."
    return INFO, (
        f"Opened {it.mode} {it.session_id} on {it.backend}. It starts when its first job leaves "
        f"the queue; the service ends it {it.max_time_seconds} s after that at the latest."
    )


@line_of.register
def _long_queue(it: LongQueueEvent) -> LogLine:
    waiting = f"Session {it.session_id}" if it.session_id else f"Job {it.job_id}"
    return WARNING, f"{waiting} has waited in the queue for {it.waited_seconds:.0f} s."


@line_of.register
def _released(it: ReleasedEvent) -> LogLine:
    billed = "" if it.usage_seconds is None else f"; usage {it.usage_seconds:.1f} s"
    return INFO, f"Session {it.session_id} is {it.state}{billed}."


@line_of.register
def _budget(it: BudgetWarningEvent) -> LogLine:
    of = f" of {it.cap_seconds:g} s" if it.cap_seconds else ""
    return WARNING, f"Most of the flow run's {it.budget} is spent: {it.spent_seconds:.1f} s{of}."


@line_of.register
def _tracked(it: TrackedEvent) -> LogLine:
    numbers = ", ".join(f"{name} {value:.6g}" for name, value in it.values.items())
    return DEBUG, f"Iteration {it.iteration}: {numbers}."
