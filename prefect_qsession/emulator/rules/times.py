"""
Times: seconds since the epoch, kept on a grid of one microsecond.

So that "60 seconds after the last job" is one well-defined instant however it was computed.
"""

from datetime import UTC, datetime


def to_grid(seconds: float) -> float:
    """Round to the microsecond grid on which all times of the emulator lie."""
    return round(seconds, 6)


def isoformat(seconds: float) -> str:
    """Write a time as the service writes it: UTC, microseconds, `Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
