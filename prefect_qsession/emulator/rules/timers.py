"""What is due when: the emulator's list of coming events, in order of time."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from prefect_qsession.emulator.rules.times import to_grid


@dataclass(eq=False, slots=True)
class Appointment:
    """Something that will happen at a known time, unless it is called off."""

    at: float
    happen: Callable[[float], None]
    called_off: bool = field(default=False)

    def call_off(self) -> None:
        """Make it not happen. Safe to repeat, and after it happened."""
        self.called_off = True


class Agenda:
    """Appointments, earliest first; those for the same instant in the order they were made."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Appointment]] = []
        self._sequence = itertools.count()

    def schedule(self, at: float, happen: Callable[[float], None]) -> Appointment:
        """Have *happen* called with its time when that time is reached."""
        appointment = Appointment(to_grid(at), happen)
        heapq.heappush(self._heap, (appointment.at, next(self._sequence), appointment))
        return appointment

    def next_due(self) -> float | None:
        """Return the time of the earliest appointment still standing."""
        while self._heap and self._heap[0][2].called_off:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_until(self, now: float) -> None:
        """
        Make everything due up to and including *now* happen, in order.

        Each is told its own time, not *now*: looking late changes nothing.
        """
        while (due := self.next_due()) is not None and due <= now:
            appointment = heapq.heappop(self._heap)[2]
            appointment.called_off = True
            appointment.happen(appointment.at)
