"""A fault: what goes wrong, for which requests, and when. The time is an argument."""

import random
from dataclasses import KW_ONLY, asdict
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from prefect_qsession.emulator.faults.effects import STRICT, AnyEffect, FailJob, Seconds
from prefect_qsession.emulator.rules.times import to_grid
from prefect_qsession.emulator.settings import RUNTIME_PREFIX

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
