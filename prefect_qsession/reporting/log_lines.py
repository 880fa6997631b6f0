"""
The log of a flow run's session: each thing once, at the level it deserves, with its ids.

Pure: from an event to a line. Who watches a flow run reads INFO and above; what every job
does is DEBUG, for its task run is in the log already.
"""

import logging
from functools import singledispatch

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


@singledispatch
def line_of(event: RunEvent) -> LogLine | None:  # noqa: ARG001 - the kinds below have lines
    """Return what the log says of an event; None if nothing."""
    return None


@line_of.register
def _opened(it: OpenedEvent) -> LogLine:
    if it.mode is Mode.JOB:
        return logging.INFO, f"Jobs go to {it.backend} one by one, without a session."
    return logging.INFO, (
        f"Opened {it.mode} {it.session_id} on {it.backend}. It starts when its first job leaves "
        f"the queue; the service ends it {it.max_time_seconds} s after that at the latest."
    )


@line_of.register
def _fallback(it: ModeFallbackEvent) -> LogLine:
    return logging.WARNING, f"No {it.mode} here, so trying a {it.instead}: {it.reason}"


@line_of.register
def _started(it: StartedEvent) -> LogLine:
    waited = f"after {it.queue_seconds:.0f} s in the queue"
    return logging.INFO, f"Session {it.session_id} has started, {waited}: its time is billed now."


@line_of.register
def _long_queue(it: LongQueueEvent) -> LogLine:
    waiting = f"Session {it.session_id}" if it.session_id else f"Job {it.job_id}"
    return logging.WARNING, f"{waiting} has waited in the queue for {it.waited_seconds:.0f} s."


@line_of.register
def _lost(it: LostEvent) -> LogLine:
    return logging.WARNING, f"The service has ended session {it.session_id}: {it.reason}"


@line_of.register
def _released(it: ReleasedEvent) -> LogLine:
    billed = "" if it.usage_seconds is None else f"; usage {it.usage_seconds:.1f} s"
    return logging.INFO, f"Session {it.session_id} is {it.state}{billed}."


@line_of.register
def _left_open(it: LeftOpenEvent) -> LogLine:
    return logging.ERROR, (
        f"Session {it.session_id} may still be open: {it.reason} The guardian releases it when "
        "this process ends, the reaper when it looks; else it ends "
        f"{it.max_time_seconds} s after its first job started."
    )


@line_of.register
def _budget(it: BudgetWarningEvent) -> LogLine:
    of = f" of {it.cap_seconds:g} s" if it.cap_seconds else ""
    return (
        logging.WARNING,
        f"Most of the flow run's {it.budget} is spent: {it.spent_seconds:.1f} s{of}.",
    )


@line_of.register
def _submitted(it: JobSubmittedEvent) -> LogLine:
    return logging.DEBUG, f"Submitted job {it.job_id} into {it.session_id}."


@line_of.register
def _reattached(it: JobReattachedEvent) -> LogLine:
    return logging.DEBUG, f"Job {it.job_id} of an earlier attempt answers; it is not paid again."


@line_of.register
def _running(it: JobRunningEvent) -> LogLine:
    return logging.DEBUG, f"Job {it.job_id} has left the queue."


@line_of.register
def _completed(it: JobCompletedEvent) -> LogLine:
    return logging.DEBUG, f"Job {it.job_id} has its result."


@line_of.register
def _failed(it: JobFailedEvent) -> LogLine:
    # The error that says so is logged by Prefect, if nobody catches it.
    return logging.DEBUG, f"Job {it.job_id} has failed: {it.reason}"


@line_of.register
def _cancelled(it: JobCancelledEvent) -> LogLine:
    return logging.DEBUG, f"Job {it.job_id} was cancelled: {it.reason}"


@line_of.register
def _tracked(it: TrackedEvent) -> LogLine:
    numbers = ", ".join(f"{name} {value:.6g}" for name, value in it.values.items())
    return logging.DEBUG, f"Iteration {it.iteration}: {numbers}."
