"""The table of session states."""

import itertools

import pytest

from prefect_qsession.exceptions import IllegalTransition
from prefect_qsession.states import FINAL, TRANSITIONS, Release, SessionState, Trigger, advance

LEGAL = {
    ("unopened", "open"): "opening",
    ("unopened", "close"): "closed",
    ("unopened", "cancel"): "cancelled",
    ("opening", "opened"): "open",
    ("opening", "refused"): "unopened",
    ("opening", "close"): "cancelling",
    ("opening", "cancel"): "cancelling",
    ("open", "close"): "closing",
    ("open", "cancel"): "cancelling",
    ("open", "lose"): "lost",
    ("lost", "open"): "opening",
    ("closing", "confirmed"): "closed",
    ("closing", "cancel"): "cancelling",
    ("cancelling", "opened"): "cancelling",
    ("cancelling", "refused"): "cancelled",
    ("cancelling", "confirmed"): "cancelled",
    ("lost", "close"): "closed",
    ("lost", "cancel"): "cancelled",
}


@pytest.mark.parametrize(
    ("state", "trigger"), list(itertools.product(SessionState, Trigger)), ids=str
)
def test_every_pair_of_state_and_trigger_leads_where_the_design_says(state, trigger):
    """A legal trigger leads to the one state that is written down here, an illegal one raises."""
    expected = LEGAL.get((state.value, trigger.value))
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{state} cannot {trigger}"):
            advance(state, trigger)
    else:
        assert expected == advance(state, trigger)


def test_nothing_leaves_a_final_state():
    """Closed and cancelled are the end."""
    assert set() == {state for state, _ in TRANSITIONS} & FINAL


def test_every_state_can_still_come_to_an_end():
    """From every state some sequence of triggers leads to a final one."""
    ends = set(FINAL)
    for _ in SessionState:
        ends |= {state for (state, _), target in TRANSITIONS.items() if target in ends}

    assert set(SessionState) == ends


@pytest.mark.parametrize("outcome", Release)
def test_an_open_session_waits_for_its_release_to_be_confirmed(outcome):
    """The request alone leads to no final state."""
    in_progress = advance(SessionState.OPEN, outcome.trigger)

    assert outcome.in_progress == in_progress
    assert not in_progress.is_final
    assert advance(in_progress, Trigger.CONFIRMED).is_final
