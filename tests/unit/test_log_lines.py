"""What the log says of the facts, and what the events carry of them."""

import logging
from dataclasses import fields
from uuid import UUID

import pytest

from docs.event_table import EVENTS, with_table
from prefect_qsession import exceptions
from prefect_qsession.config.modes import Mode
from prefect_qsession.reporting.log_lines import line_of
from prefect_qsession.reporting.prefect_events import LABELS, EventSubject, payload, resources
from prefect_qsession.reporting.run_events import (
    RUN_EVENTS,
    BudgetWarningEvent,
    JobCancelledEvent,
    JobCompletedEvent,
    JobFailedEvent,
    JobSubmittedEvent,
    LeftOpenEvent,
    ModeFallbackEvent,
    OpenedEvent,
    ReleasedEvent,
    end_of_job,
)
from prefect_qsession.states import SessionState

RUN = UUID("00000000-0000-0000-0000-000000000001")


def test_no_two_facts_share_an_event():
    """A trigger that expects one gets no other."""
    assert len(RUN_EVENTS) == len({kind.name for kind in RUN_EVENTS})


def test_the_page_of_events_is_that_of_the_code():
    """`make docs` would change nothing."""
    page = EVENTS.read_text()

    assert with_table(page) == page
    assert all(f"`qsession.{kind.name}`" in page for kind in RUN_EVENTS)


def test_labels_are_words_that_some_payload_has():
    """None is left over from a name that has changed."""
    names = {field.name for kind in RUN_EVENTS for field in fields(kind)}

    assert set() == LABELS - names


@pytest.mark.parametrize(
    ("fact", "level"),
    [
        (OpenedEvent("s1", Mode.SESSION, "ibm_manila", 60), logging.INFO),
        (ReleasedEvent("s1", SessionState.CLOSED), logging.INFO),
        (ModeFallbackEvent(Mode.SESSION, Mode.JOB, "1352"), logging.WARNING),
        (BudgetWarningEvent("qpu_budget", 8.0, 10.0), logging.WARNING),
        (LeftOpenEvent("s1", "No answer.", 60), logging.ERROR),
        (JobSubmittedEvent("j1", "s1", "sampler"), logging.DEBUG),
    ],
)
def test_a_fact_is_logged_at_the_level_it_deserves(fact, level):
    """Who watches a run reads INFO; what every job does is DEBUG."""
    line = line_of(fact)

    assert line is not None
    assert level == line[0]


def test_a_line_has_the_ids_and_the_figures():
    """And it is one sentence about one thing."""
    line = line_of(ReleasedEvent("s1", SessionState.CANCELLED, usage_seconds=2.25))

    assert (logging.INFO, "Session s1 is cancelled; usage 2.2 s.") == line


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, JobCompletedEvent("j1")),
        (
            exceptions.JobFailed("j1", "s1", "Error code 1517; too hot", code=1517),
            JobFailedEvent("j1", "", 1517),
        ),
        (exceptions.JobCancelled("j1", "s1"), JobCancelledEvent("j1", "")),
    ],
)
def test_the_end_of_a_job_is_told_by_its_error(error, expected):
    """With the service's code, where there is one."""
    told = end_of_job("j1", error)

    assert type(expected) is type(told)
    assert getattr(expected, "code", None) == getattr(told, "code", None)


def test_a_payload_has_plain_values_and_only_known_ones():
    """Whatever it holds must become JSON."""
    fact = ReleasedEvent("s1", SessionState.CLOSED)

    assert {"session_id": "s1", "state": "closed", "by": "process"} == payload(fact)


ABOUT = EventSubject(RUN, "happy-otter", UUID(int=7), "ibm_manila", "s1")


@pytest.mark.parametrize(
    ("fact", "roles"),
    [
        (JobCompletedEvent("j1"), ["job", "session", "flow-run", "deployment", "backend"]),
        (
            ReleasedEvent("s1", SessionState.CLOSED),
            ["session", "flow-run", "deployment", "backend"],
        ),
        (BudgetWarningEvent("qpu_budget", 8.0), ["flow-run", "deployment", "backend"]),
    ],
)
def test_an_event_is_about_the_narrowest_thing_and_related_to_the_wider_ones(fact, roles):
    """Automations match any of them."""
    assert roles == [it["prefect.resource.role"] for it in resources(fact, ABOUT)]


def test_what_is_not_known_is_not_related():
    """A script's flow run has no deployment."""
    found = resources(JobCompletedEvent("j1"), EventSubject(RUN, "happy-otter"))

    assert ["qsession.job.j1", f"prefect.flow-run.{RUN}"] == [
        it["prefect.resource.id"] for it in found
    ]
