"""What is due when: timers, in order of time."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from prefect_qsession.emulator.rules.times import to_grid


@dataclass(eq=False, slots=True)
class Timer:
    """Something that will happen at a known time, unless it is cancelled."""

    at: float
    happen: Callable[[float], None]
    cancelled: bool = field(default=False)

    def cancel(self) -> None:
        """Make it not happen. Safe to repeat, and after it happened."""
        self.cancelled = True


class Timers:
    """Timers, earliest first; those for the same instant in the order they were made."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = itertools.count()

    def schedule(self, at: float, happen: Callable[[float], None]) -> Timer:
        """Have *happen* called with its time when that time is reached."""
        timer = Timer(to_grid(at), happen)
        heapq.heappush(self._heap, (timer.at, next(self._sequence), timer))
        return timer

    def next_due(self) -> float | None:
        """Return the time of the earliest timer that is not cancelled."""
        while self._heap and self._heap[0][2].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_until(self, now: float) -> None:
        """
        Make everything due up to and including *now* happen, in order.

        Each is told its own time, not *now*: looking late changes nothing.
        """
        while (due := self.next_due()) is not None and due <= now:
            timer = heapq.heappop(self._heap)[2]
            timer.cancelled = True
            timer.happen(timer.at)
