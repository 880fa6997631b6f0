"""Durations as people write them."""

import re
from datetime import timedelta

from prefect_qsession.exceptions import InvalidMaxTime

Duration = str | int | timedelta
"""Text such as "2h 30m", whole seconds, or a timedelta."""

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_TEXT = re.compile(r"\s*(?:\d+\s*[dhms]\s*)+", re.IGNORECASE)
_PART = re.compile(r"(\d+)\s*([dhms])", re.IGNORECASE)


def max_time_seconds(value: Duration) -> int:
    """
    Return a session's maximum time in whole seconds, fractions of a second dropped.

    Raises:
        InvalidMaxTime: It is no duration, or one of less than a second.
    """
    seconds = _seconds(value)
    if seconds is None or seconds < 1:
        raise InvalidMaxTime(value)
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
