"""
Faults on demand: what goes wrong between a client and the emulated service, where and when.

Only the decision is here, and it takes the time as an argument; `network` carries it out.
"""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from prefect_qsession.emulator.faults.effects import STRICT, AnyEffect, FailJob, Seconds
from prefect_qsession.emulator.rules.times import to_grid
from prefect_qsession.emulator.running.clock import Clock
from prefect_qsession.emulator.settings import RUNTIME_PREFIX

CONTROL_PREFIX = "/emulator"

Route = Annotated[str, Field(pattern=r"^(\*|/|(/[^/*{}?]+|/\{\w*\})+(/\*)?|/\*)$")]

_SUBMISSION = ("POST", f"{RUNTIME_PREFIX}/jobs")


@dataclass(frozen=True, config=STRICT)
class Fault:
    """
    What goes wrong, for which requests, and when.

    Nonsense is refused with a `ValueError`.

    Args:
        route: A path of the service, with or without the prefix of the Runtime API. A segment in
            braces stands for any one segment, a last `*` for whatever follows, if anything:
            `"/sessions/{id}/close"`, `"/identity/token"`, `"/jobs/*"`, `"*"`.
        effect: What happens to the request.
        method: The HTTP method; any if `None`.
        count: After how many strikes the fault is over; never if `None`.
        probability: How likely it strikes a request that it is for. Drawn by the emulator's seed.
        after_seconds: When it begins, in seconds of the service's clock since it was added.
        until_seconds: When it is over, likewise; at that instant it no longer strikes.
    """

    route: Route
    effect: Annotated[AnyEffect, Field(discriminator="kind")]
    _: KW_ONLY
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    after_seconds: Seconds = 0.0
    until_seconds: Seconds | None = None

    def __post_init__(self) -> None:
        """Refuse to fail jobs where none are submitted."""
        if isinstance(self.effect, FailJob) and not self.concerns(*_SUBMISSION):
            msg = "jobs can be failed where they are submitted only: POST /jobs"
            raise ValueError(msg)

    def concerns(self, method: str, path: str) -> bool:
        """Whether a request is one of those it is for."""
        if self.method not in (None, method):
            return False
        if isinstance(self.effect, FailJob) and (method, path) != _SUBMISSION:
            return False
        return _matches(self.route, path) or (
            path.startswith(RUNTIME_PREFIX + "/")
            and _matches(self.route, path.removeprefix(RUNTIME_PREFIX))
        )

    def is_on(self, added: float, now: float) -> bool:
        """Whether it is its time, if it was added at *added*."""
        begun = to_grid(added + self.after_seconds) <= now
        return begun and (self.until_seconds is None or now < to_grid(added + self.until_seconds))


def _matches(route: str, path: str) -> bool:
    wanted, given = route.strip("/").split("/"), path.strip("/").split("/")
    if wanted[-1] == "*":
        wanted.pop()
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        pattern.startswith("{") or pattern == segment
        for pattern, segment in zip(wanted, given, strict=True)
    )


class StandingFault:
    """A fault that was added, and how many requests it has struck."""

    def __init__(self, fault: Fault, added: float, draws: random.Random) -> None:
        self.fault = fault
        self.added = added
        self.struck = 0
        self._draws = draws

    def strikes(self, method: str, path: str, now: float) -> bool:
        """Decide about one request. It draws for no request but those that it is for."""
        fault = self.fault
        if (
            self.struck == fault.count
            or not fault.is_on(self.added, now)
            or not fault.concerns(method, path)
            or (fault.probability < 1 and self._draws.random() >= fault.probability)
        ):
            return False
        self.struck += 1
        return True

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self.fault) | {"added": self.added, "struck": self.struck}


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
