"""Wait for what other processes do, looking often; a test never simply sleeps."""

import threading
from collections.abc import Callable

import pytest

LOOK_SECONDS = 0.02


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Return as soon as it is so; fail the test if it is not in time."""
    never = threading.Event()
    for _ in range(int(seconds / LOOK_SECONDS)):
        if condition():
            return
        never.wait(LOOK_SECONDS)
    pytest.fail("it did not happen in time")
