"""The people who use a device besides us: when their jobs come, and how long they take."""

import random
from collections.abc import Callable

from prefect_qsession.emulator.rules.timers import Timers
from prefect_qsession.emulator.settings import SECONDS_PER_HOUR, QueueSettings


class Arrivals:
    """
    Jobs that come by chance, at a rate and of a length that are true on average.

    Both are exponential, and drawn by the seed: the same seed gives the same jobs at the same times
    after the start. *arrive* is called with a job's seconds and the time at which it comes.
    """

    def __init__(
        self,
        queue: QueueSettings,
        timers: Timers,
        seed: str,
        arrive: Callable[[float, float], None],
    ) -> None:
        self._queue = queue
        self._timers = timers
        self._draws = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._arrive = arrive

    def begin(self, now: float) -> None:
        """Bring the jobs that are there at the start; others will follow."""
        for _ in range(self._queue.jobs_at_start):
            self._come(now)
        self._wait_for_next(now)

    def _come(self, at: float) -> None:
        self._arrive(self._queue.arrival_seconds * self._draws.expovariate(1.0), at)

    def _wait_for_next(self, now: float) -> None:
        if self._queue.arrivals_per_hour > 0:
            hours = self._draws.expovariate(self._queue.arrivals_per_hour)
            self._timers.schedule(now + hours * SECONDS_PER_HOUR, self._next_comes)

    def _next_comes(self, at: float) -> None:
        self._come(at)
        self._wait_for_next(at)
