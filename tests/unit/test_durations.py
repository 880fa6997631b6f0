"""Durations as people write them."""

from datetime import timedelta

import pytest

from prefect_qsession.config.durations import duration_seconds
from prefect_qsession.exceptions import InvalidMaxTime, InvalidSetting


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
    assert seconds == duration_seconds("max_time", value)


@pytest.mark.parametrize(
    "value",
    ["", "soon", "2x", "2h foo", "-1h", "1.5h", 0, -5, True, 1.5, None, "0s", timedelta(0)],
)
@pytest.mark.parametrize(
    ("name", "kind"), [("max_time", InvalidMaxTime), ("qpu_budget", InvalidSetting)]
)
def test_what_is_no_positive_duration_is_refused(name, kind, value):
    """The error shows the option, the value and the forms that are understood."""
    with pytest.raises(InvalidSetting, match=f"^{name} .*2h 30m") as refused:
        duration_seconds(name, value)

    assert kind is refused.type
    assert (name, value) == (refused.value.name, refused.value.value)
