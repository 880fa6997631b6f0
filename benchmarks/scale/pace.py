"""The moments that all processes of the benchmark keep, on the machine's clock."""

import time


def sleep_until(at: float) -> None:
    """Return at this time, in seconds since the epoch; at once if it is over."""
    time.sleep(max(0.0, at - time.time()))
