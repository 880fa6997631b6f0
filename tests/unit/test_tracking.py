"""What `track` makes of what it is given."""

import logging

import numpy as np
import pytest

from prefect_qsession import track
from prefect_qsession.tracking import _numbers, _tell_once, _whole, name_with


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (-1.5, -1.5),
        (np.float32(0.5), 0.5),
        (np.array(2.0), 2.0),
        (np.array([2.5]), 2.5),
        ([3.0, 4.0], 5.0),
        (np.array([3.0, 4.0]), 5.0),
    ],
)
def test_numbers_of_any_kind_are_taken_and_a_gradient_by_its_norm(value, number):
    """As they come from NumPy and SciPy."""
    assert {"x": pytest.approx(number)} == dict(_numbers({"x": value}))


@pytest.mark.parametrize("value", ["text", None, object(), float("nan"), float("inf"), 1j])
def test_what_is_no_number_is_left_out(value):
    """The flow goes on, and so do the other numbers."""
    assert {"y": 1.0} == dict(_numbers({"x": value, "y": 1}))


def test_outside_a_session_flow_it_does_nothing(caplog, monkeypatch):
    """So that a function can be tried out without its flow; it is said in the log."""
    _tell_once.cache_clear()
    monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)

    track(energy=-1.0)
    track(energy=-1.0)

    said = [record.getMessage() for record in caplog.records]
    assert 1 == len(said)
    assert said[0].startswith("Nothing is tracked here. track() has no session to run in: ")


@pytest.mark.parametrize(
    ("name", "iteration", "is_custom", "numbers", "expected"),
    [
        ("energy", 12, False, {"energy": -1.137}, "energy 12: -1.137"),
        ("energy", None, False, {"energy": -1.137}, "energy: -1.137"),
        ("energy at 0.75", 12, True, {"energy": -1.137}, "energy at 0.75: -1.137"),
        ("step", 12, False, {"cost": 1.0, "gradient": 0.25}, "step 12: cost 1, gradient 0.25"),
        ("step", 12, False, {}, "step 12"),
    ],
)
def test_a_task_run_is_named_after_its_iteration_and_what_it_found(
    name, iteration, is_custom, numbers, expected
):
    """A name that the user has chosen is kept before it."""
    assert expected == name_with(name, iteration, numbers, is_custom=is_custom)


@pytest.mark.parametrize(
    ("number", "whole"),
    [(3, 3), (np.int64(3), 3), (True, 1), (2.5, None), ("3", None), (None, None)],
)
def test_an_iteration_is_a_whole_number_of_any_kind(number, whole):
    """What is none is left out: the flow must not fail for it."""
    assert whole == _whole(number)
    assert type(_whole(number)) in (int, bool, type(None))
