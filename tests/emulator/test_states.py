"""The tables of states: every pair of state and event, legal or not."""

import itertools

import pytest

from prefect_qsession.emulator.rules.states import IllegalTransition as Illegal
from prefect_qsession.emulator.rules.states import (
    JobEvent,
    JobState,
    SessionEvent,
    SessionState,
    next_job_state,
    next_session_state,
)

LEGAL_FOR_SESSIONS = {
    ("open", "job dequeued"): "active",
    ("open", "accepts no jobs and has none left"): "closed",
    ("open", "never used"): "closed",
    ("open", "usage limit reached"): "closed",
    ("active", "interactive TTL expired"): "inactive",
    ("active", "max TTL reached"): "closed",
    ("active", "usage limit reached"): "closed",
    ("active", "accepts no jobs and has none left"): "closed",
    ("inactive", "job dequeued"): "active",
    ("inactive", "max TTL reached"): "closed",
    ("inactive", "usage limit reached"): "closed",
    ("inactive", "accepts no jobs and has none left"): "closed",
}
LEGAL_FOR_JOBS = {
    ("Queued", "start"): "Running",
    ("Queued", "fail"): "Failed",
    ("Queued", "cancel"): "Cancelled",
    ("Running", "complete"): "Completed",
    ("Running", "fail"): "Failed",
    ("Running", "cancel"): "Cancelled",
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(SessionState, SessionEvent)))
def test_a_session_changes_state_as_the_guides_say_and_in_no_other_way(state, event):
    """Every pair of a session's state and event is either in the guides' diagram or refused."""
    expected = LEGAL_FOR_SESSIONS.get((str(state), str(event)))

    if expected is None:
        with pytest.raises(Illegal, match=f"illegal in state {state}"):
            next_session_state(state, event)
    else:
        assert expected == next_session_state(state, event)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(JobState, JobEvent)))
def test_a_job_changes_state_only_forwards(state, event):
    """Every pair of a job's state and event leads on or is refused; final states are final."""
    expected = LEGAL_FOR_JOBS.get((str(state), str(event)))

    if expected is None:
        with pytest.raises(Illegal, match=f"illegal in state {state}"):
            next_job_state(state, event)
    else:
        assert expected == next_job_state(state, event)
