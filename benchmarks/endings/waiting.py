"""Wait for what other processes do, looking often."""

import time
from collections.abc import Callable

from benchmarks.endings.marks import LOOK_SECONDS


def wait_until(condition: Callable[[], bool], seconds: float, every: float = LOOK_SECONDS) -> bool:
    """Wait until it is so, and return True; False if it is not so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
