"""
The clocks that the emulated service may run on.

The rules are handed a time; only this module reads the machine's clock.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from prefect_qsession.emulator.rules.times import to_grid


def wall_now() -> float:
    """Read the machine's clock. Nothing else in the emulator does."""
    return to_grid(time.time())


class Clock(Protocol):
    """What the emulator asks of a clock."""

    def now(self) -> float:
        """Return the present time of the emulated service."""

    def real_seconds_until(self, at: float) -> float | None:
        """Return how long to wait for *at* in real seconds; `None` if waiting is no use."""


class RunningClock:
    """
    A clock that runs by itself, *speed* times as fast as the machine's.

    At any speed it starts at the machine's present time.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            msg = f"a clock's speed must be positive, not {speed}"
            raise ValueError(msg)
        self.speed = speed
        self._wall_origin = wall_now()
        self._origin = time.monotonic()

    def now(self) -> float:
        """Return the machine's time, stretched by the speed."""
        elapsed_seconds = time.monotonic() - self._origin
        return to_grid(self._wall_origin + elapsed_seconds * self.speed)

    def real_seconds_until(self, at: float) -> float | None:
        """Return how long the machine must wait until this clock shows *at*."""
        return max(0.0, at - self.now()) / self.speed


class HandClock:
    """
    A clock that stands still until `advance` moves it.

    An emulator that runs on it makes everything due on the way happen in order, each at its own
    time, before `advance` returns.
    """

    def __init__(self, start: float | None = None) -> None:
        self._now = to_grid(wall_now() if start is None else start)
        self._run_until: Callable[[float], None] | None = None
        self._moving = threading.Lock()

    def now(self) -> float:
        """Return the time the clock was last moved to."""
        return self._now

    def real_seconds_until(self, at: float) -> float | None:  # noqa: ARG002 - see Clock
        """Return `None`: only `advance` makes anything due."""
        return None

    def advance(self, seconds: float) -> float:
        """
        Move the clock forward and return the new time.

        Waits, in real time, for simulations whose jobs could end on the way. Moves of several
        threads happen one after the other.
        """
        if seconds < 0:
            msg = f"time does not run backwards: {seconds}"
            raise ValueError(msg)
        with self._moving:
            target = to_grid(self._now + seconds)
            if self._run_until is not None:
                self._run_until(target)
            self.move_to(target)
        return self._now

    def move_to(self, at: float) -> None:
        """Set the time. For the emulator on this clock; others call `advance`."""
        # No write at all unless it moves: another thread may just have moved it further.
        if (target := to_grid(at)) > self._now:
            self._now = target

    def attach(self, run_until: Callable[[float], None] | None) -> None:
        """Name the one function that makes due things happen on the way to a target time."""
        if run_until is not None and self._run_until is not None:
            msg = "this clock already drives an emulator"
            raise RuntimeError(msg)
        self._run_until = run_until
