"""The faults of one emulator, and the requests that they hold back."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from prefect_qsession.emulator.faults.effects import AnyEffect
from prefect_qsession.emulator.faults.fault import Fault, StandingFault
from prefect_qsession.emulator.running.clock import Clock
from prefect_qsession.emulator.settings import CONTROL_PREFIX


class Strike:
    """One request that was struck at a time; until it is released, what was struck may wait."""

    def __init__(self, effect: AnyEffect, at: float) -> None:
        self.effect = effect
        self.at = at
        # Its result tells whether the request goes on; if not, its connection is cut.
        self.released: Future[bool] = Future()
        self._releasing = threading.Lock()

    def release(self, *, to_go_on: bool = True) -> None:
        """Hold the request back no longer. Safe to repeat; the first word counts."""
        with self._releasing:
            if not self.released.done():
                self.released.set_result(to_go_on)


class Faults:
    """
    The faults of one emulator. Any thread may add, clear and look.

    Of several that are for a request, the one added first strikes it, alone. The emulator's own
    routes are never struck.
    """

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._seed = seed
        self._deciding = threading.Lock()
        self._standing: tuple[StandingFault, ...] = ()
        self._under_way: set[Strike] = set()
        self._added = 0
        self._stopped = False

    def add(self, fault: Fault) -> StandingFault:
        """Have *fault* strike from now on. What is returned counts its strikes."""
        with self._deciding:
            # Draws of its own: other faults and their requests do not change them.
            draws = random.Random(f"{self._seed}/{self._added}")  # noqa: S311
            self._added += 1
            standing = StandingFault(fault, self._clock.now(), draws)
            self._standing += (standing,)
        return standing

    def clear(self) -> None:
        """Take all faults away. Requests that are held back go on at once."""
        with self._deciding:
            self._standing = ()
            under_way = tuple(self._under_way)
        for strike in under_way:
            strike.release()

    def stop(self) -> None:
        """Cut the connections of all requests that are held back, now and from now on."""
        with self._deciding:
            self._stopped = True
            under_way = tuple(self._under_way)
        for strike in under_way:
            strike.release(to_go_on=False)

    @property
    def standing(self) -> tuple[StandingFault, ...]:
        """Every fault that was added and not cleared, also those that are over."""
        return self._standing

    @contextmanager
    def striking(self, method: str, path: str) -> Iterator[Strike | None]:
        """Decide about one request, and yield what strikes it for as long as that takes."""
        strike = self._decide(method, path)
        try:
            yield strike
        finally:
            with self._deciding:
                self._under_way.discard(strike)

    def _decide(self, method: str, path: str) -> Strike | None:
        if path in ("/", CONTROL_PREFIX) or path.startswith(CONTROL_PREFIX + "/"):
            return None
        with self._deciding:
            now = self._clock.now()
            for standing in self._standing:
                if standing.strikes(method, path, now):
                    strike = Strike(standing.fault.effect, now)
                    if self._stopped:
                        strike.release(to_go_on=False)
                    self._under_way.add(strike)
                    return strike
        return None
