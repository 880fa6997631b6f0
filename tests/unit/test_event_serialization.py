"""What happens in a worker arrives in the flow's process as it was."""

from datetime import UTC, datetime

import pytest

from prefect_qsession.reporting.run_events import (
    BudgetWarningEvent,
    JobCompletedEvent,
    JobFailedEvent,
    JobReattachedEvent,
    JobRunningEvent,
    JobSubmittedEvent,
    ReleasedEvent,
    TrackedEvent,
)
from prefect_qsession.states import SessionState
from prefect_qsession.workers.event_serialization import TimedEvent, as_text, from_text

AT = datetime(2026, 11, 29, 12, 30, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "event",
    [
        JobSubmittedEvent("j1", "s1", "sampler"),
        JobReattachedEvent("j1", "estimator"),
        JobRunningEvent("j1"),
        JobCompletedEvent("j1"),
        JobFailedEvent("j1", "It is too long.", 1305),
        BudgetWarningEvent("qpu_budget", 8.0, 10.0),
        TrackedEvent({"energy": -1.137, "gradient": 0.25}, None, 40),
        ReleasedEvent("s1", SessionState.CLOSED),
    ],
    ids=lambda it: it.name,
)
def test_an_event_arrives_as_it_was(event):
    """With its kinds of value, and the time at which the worker has seen it."""
    assert [TimedEvent(event, AT)] == list(from_text(as_text([TimedEvent(event, AT)])))


def test_events_arrive_in_their_order():
    """A job is submitted before it is over."""
    news = [
        TimedEvent(JobSubmittedEvent("j1", "s1", "sampler"), AT),
        TimedEvent(JobCompletedEvent("j1"), AT),
    ]

    assert news == list(from_text(as_text(news)))


def test_what_cannot_be_said_leaves_the_rest_as_it_is():
    """A batch has the events of many tasks."""
    news = [
        TimedEvent(TrackedEvent({"energy": object()}), AT),
        TimedEvent(JobRunningEvent("j1"), AT),
    ]

    assert news[1:] == list(from_text(as_text(news)))


def test_a_kind_that_a_later_version_has_is_left_out():
    """A worker may be newer than the flow's process."""
    text = as_text([TimedEvent(JobRunningEvent("j1"), AT)])

    assert [] == list(from_text(text.replace("job.running", "job.dreaming")))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ('[["job.running", "never", {"job_id": "j1"}]]', "Invalid isoformat"),
        ('[["job.running", "2026-11-29", {}]]', "validation error"),
        ('[["job.running"]]', "not enough values"),
    ],
)
def test_what_is_no_such_text_is_an_error(text, problem):
    """One that its reader expects."""
    with pytest.raises(ValueError, match=problem):
        list(from_text(text))
