"""Durations as people write them."""

from datetime import timedelta

import pytest

from prefect_qsession.durations import max_time_seconds
from prefect_qsession.exceptions import InvalidMaxTime


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2h 30m", 9000),
        ("2h30m", 9000),
        ("1d", 86_400),
        ("45s", 45),
        ("1H 1M 1S", 3661),
        (" 10 m ", 600),
        ("90", 90),
        (90, 90),
        (timedelta(minutes=5), 300),
        (timedelta(seconds=1.9), 1),
    ],
)
def test_a_duration_is_read_in_every_form_that_is_offered(value, seconds):
    """Text with units, whole seconds and timedeltas mean the same number of seconds."""
    assert seconds == max_time_seconds(value)


@pytest.mark.parametrize(
    "value",
    ["", "soon", "2x", "2h foo", "-1h", "1.5h", 0, -5, True, 1.5, None, "0s", timedelta(0)],
)
def test_what_is_no_positive_duration_is_refused(value):
    """The error shows the value and the forms that are understood."""
    with pytest.raises(InvalidMaxTime, match="2h 30m") as refused:
        max_time_seconds(value)

    assert value is refused.value.value
