"""What would be found after a history, if it were there."""

import pytest

from prefect_qsession.exceptions import OwnerSilent
from tests.harness.histories.drawn import (
    Ask,
    Attempt,
    Elsewhere,
    End,
    History,
    How,
    Round,
    Then,
    draw,
)
from tests.harness.histories.flow import Notes, circuit_of
from tests.harness.histories.found import Found, lost_or_swapped, paid_twice

ASKS = (Ask(3, Then.WAIT), Ask(5, Then.CANCEL), Ask(7, Then.POLL))


def history(*trouble, qpu_budget=None, rounds=1) -> History:
    """Return one of a single attempt that returns."""
    return History(
        seed=0,
        is_async=False,
        takes_time=False,
        on_workers=False,
        pack=None,
        qpu_budget=qpu_budget,
        rounds=(Round(How.BODY, ASKS, trouble),),
        attempts=(Attempt(rounds, End.RETURN),),
    )


def test_a_seed_is_one_history_and_another_is_another():
    """What failed once fails again."""
    histories = [draw(seed) for seed in range(200)]

    assert histories == [draw(seed) for seed in range(200)]
    assert 200 == len({repr(it) for it in histories})


def test_everything_that_can_be_drawn_is_drawn():
    """Within a few hundred: no way to ask, to end, or to be in trouble is left out."""
    histories = [draw(seed) for seed in range(500)]
    rounds = [each for it in histories for each in it.rounds]
    trouble = [it for each in rounds for it in each.trouble]

    assert set(How) == {each.how for each in rounds}
    assert set(Then) == {ask.then for each in rounds for ask in each.asks}
    assert set(End) == {attempt.end for it in histories for attempt in it.attempts}
    assert set(Elsewhere) <= set(trouble)
    assert any(it.is_undisturbed for it in histories)


def test_the_numbers_of_a_history_are_its_own():
    """So that a result that was swapped is seen."""
    for seed in range(200):
        numbers = [ask.number for each in draw(seed).rounds for ask in each.asks]
        assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    ("measured", "times"), [([], 0), ([1, 2, 3], 0), ([1, 2, 1], 1), ([1, 1, 1, 2, 2], 3)]
)
def test_a_number_that_two_jobs_measured_was_paid_twice(measured, times):
    """Each job but the first is one too many."""
    assert times == paid_twice(measured)


def test_a_result_of_another_request_is_found():
    """Whatever went wrong."""
    notes = Notes(given=[(3, 3), (7, 3)])

    assert 1 == lost_or_swapped(history(Elsewhere.LOST), notes)


def test_a_result_that_nobody_got_is_found_where_nothing_went_wrong():
    """None is expected of one that was cancelled, or never asked for."""
    notes = Notes(given=[(3, 3)])

    assert 1 == lost_or_swapped(history(), notes)
    assert 0 == lost_or_swapped(history(Elsewhere.LOST), notes)
    assert 0 == lost_or_swapped(history(qpu_budget="10s"), notes)
    assert 0 == lost_or_swapped(history(rounds=0), Notes())


def test_an_error_that_is_not_ours_is_found():
    """Ours is an answer, where something went wrong."""
    given = [(3, 3), (7, 7)]

    assert 0 == lost_or_swapped(
        history(Elsewhere.API_GONE), Notes(given, refused=[(5, OwnerSilent("a-run", 1.0))])
    )
    assert 1 == lost_or_swapped(
        history(Elsewhere.API_GONE), Notes(given, refused=[(5, KeyError("x"))])
    )


def test_what_is_told_makes_no_difference():
    """It only helps to find the reason."""
    assert Found() == Found(told=["a thread"])
    assert Found() != Found(threads_left=1)


def test_a_circuit_measures_its_number():
    """One bit for each X."""
    circuit = circuit_of(5, 5)

    assert [0, 2] == [circuit.find_bit(it.qubits[0]).index for it in circuit if it.name == "x"]
