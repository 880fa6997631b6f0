"""Durations as people write them."""

import re
from datetime import timedelta

from prefect_qsession.exceptions import InvalidMaxTime, InvalidSetting

Duration = str | int | timedelta
"""Text such as "2h 30m", whole seconds, or a timedelta."""

LONGEST_WINDOW = 60.0

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_TEXT = re.compile(r"\s*(?:\d+\s*[dhms]\s*)+", re.IGNORECASE)
_WINDOW = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s)?\s*", re.IGNORECASE)
_PART = re.compile(r"(\d+)\s*([dhms])", re.IGNORECASE)


def duration_seconds(name: str, value: Duration) -> int:
    """
    Return the duration in whole seconds, fractions of a second dropped.

    Args:
        name: The option that it was given for.
        value: As people write it.

    Raises:
        InvalidMaxTime: It is no duration, or one of less than a second; of `max_time`.
        InvalidSetting: The same, of another option.
    """
    seconds = _seconds(value)
    if seconds is None or seconds < 1:
        kind = InvalidMaxTime if name == "max_time" else InvalidSetting
        raise kind(
            name,
            value,
            "a duration of at least one second. Give text such as '2h 30m' or '45s', whole "
            "seconds, or a timedelta.",
        )
    return seconds


def window_seconds(name: str, value: str | float | timedelta) -> float:
    """
    Return a short time in seconds.

    Args:
        name: The option that it was given for.
        value: Text such as "50ms" or "0.2s", seconds, or a timedelta.

    Raises:
        InvalidSetting: It is no such time, or not above 0 and at most a minute.
    """
    seconds: float = 0.0
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (found := _WINDOW.fullmatch(value)):
        seconds = float(found[1]) / (1000 if (found[2] or "").lower() == "ms" else 1)
    if not 0 < seconds <= LONGEST_WINDOW:
        wanted = "a time above 0 and of a minute at the most, such as '50ms', '0.2s' or 0.2."
        raise InvalidSetting(name, value, wanted)
    return seconds


def _seconds(value: object) -> int | None:
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)  # from an environment variable, say
    if isinstance(value, str) and _TEXT.fullmatch(value):
        parts = _PART.findall(value)
        return sum(int(number) * _UNITS[unit.lower()] for number, unit in parts)
    return None
