"""Wait for what other processes do, looking often, or for a moment."""

import time
from collections.abc import Callable

LOOK_SECONDS = 0.02


def happened(condition: Callable[[], object], seconds: float, every: float = LOOK_SECONDS) -> bool:
    """Wait until it is so, and return True; False if it is not so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """
    Return as soon as it is so.

    Raises:
        AssertionError: It was not so in time.
    """
    if not happened(condition, seconds):
        raise AssertionError(f"it did not happen within {seconds:g} s")


def sleep_until(at: float) -> None:
    """Return at this time, in seconds since the epoch; at once if it is over."""
    time.sleep(max(0.0, at - time.time()))
