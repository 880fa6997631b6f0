"""How long all who release a session wait for that, together."""

import pytest

from prefect_qsession.release.release_retry import LEAST_SECONDS, RESTED_SECONDS, Patience


@pytest.mark.parametrize("seconds_between", [0.0, 3.0, RESTED_SECONDS])
def test_who_releases_after_another_has_what_that_one_left(seconds_between):
    """The body's end and the task runner's exit wait once, whatever Prefect does between them."""
    patience = Patience(20.0)

    patience.waited(100.0, 100.0 + patience.left(100.0))

    assert LEAST_SECONDS == patience.left(120.0 + seconds_between)


def test_what_was_not_used_is_there_for_the_next():
    """As much as it is."""
    patience = Patience(20.0)
    patience.waited(100.0, 101.0)

    assert 19.0 == patience.left(101.0)


def test_a_release_long_after_another_has_all_of_it():
    """And never more."""
    patience = Patience(20.0)
    patience.waited(100.0, 120.0)

    assert 20.0 == patience.left(1000.0)


def test_nobody_waits_for_longer_than_was_asked_for():
    """Not even for the least that there is otherwise."""
    patience = Patience(0.1)

    assert 0.1 == patience.left(0.0)


def test_that_a_session_is_left_open_is_told_once():
    """Whoever finds it out."""
    patience = Patience(20.0)

    assert [True, False, False] == [patience.tell_once() for _ in range(3)]
