"""
The ways to end a flow run at any moment, and what is drawn for each trial.

Pure data: `trial` carries it out.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM
from typing import TypeVar

from tests.harness.places import PlaceName
from tests.harness.steps import Break, CancelRun, LetGo, RunOut, Send, Step, Target, Wait

T = TypeVar("T")

CLOSE, CANCEL = "close", "cancel"
"""How a session is released, in the words of the emulator's record."""

SCRIPT, SERVE, WORKER = PlaceName.SCRIPT, PlaceName.SERVE, PlaceName.WORKER

SUPERVISED_SHARE = 0.15
"""Of the trials, under `serve` and a worker: each imports Prefect and Qiskit anew."""
LIFE_SECONDS = 8.0
"""A flow run is ended within this time after its body has begun."""
SHORTEST_TIMEOUT_SECONDS = 0.3
RESTART_SECONDS = 2.0
"""What a flow's process is given to replace a guardian that was killed, on a busy machine."""


@dataclass(frozen=True)
class Way:
    """
    A way to end a flow run; *end* is what ends it. A `Wait` in it is drawn, up to its seconds.

    Args:
        name: What to call it.
        end: What ends it, as steps.
        before: What is done first, at the drawn moment.
        shape: What the flow does when it is let go.
        release: How its session is released.
    """

    name: str
    end: tuple[Step, ...]
    before: tuple[Step, ...] = ()
    shape: str = "returns"
    release: str = CANCEL

    @property
    def has_timeout(self) -> bool:
        """Whether the flow has a time limit, which ends it."""
        return RunOut() in self.end


_GO, _KILL = (LetGo(),), (Send(SIGKILL),)
_NO_GUARDIAN = Send(SIGKILL, Target.GUARDIAN)
_CTRL_C = Send(SIGINT, Target.GROUP)

RELEASES_GO_WRONG = ("errors", "a lost request", "a lost reply", "a late reply")

SCRIPTS = (
    Way("returns", _GO, release=CLOSE),
    Way("raises", _GO, shape="raises"),
    Way("returns a failed state", _GO, shape="fails by state"),
    Way("sys.exit", _GO, shape="sys.exit"),
    Way("os._exit", _GO, shape="os._exit"),
    Way("timeout", (RunOut(),)),
    Way("Ctrl-C", (_CTRL_C,)),
    Way("Ctrl-C twice", (_CTRL_C, Wait(1.0), _CTRL_C)),
    Way("SIGTERM", (Send(SIGTERM),)),
    Way("SIGHUP", (Send(SIGHUP),)),
    Way("SIGKILL", _KILL),
    Way("SIGKILL after the guardian's", _KILL, before=(_NO_GUARDIAN, Wait(2 * RESTART_SECONDS))),
    Way("dead machine", _KILL, before=(_NO_GUARDIAN,)),
    Way("cancelled by the API", (CancelRun(),)),
    *(
        Way(f"raises, {how} at the release", _GO, before=(Break(how),), shape="raises")
        for how in RELEASES_GO_WRONG
    ),
    Way("SIGKILL, errors at the release", _KILL, before=(Break("errors"),)),
)

DEPLOYMENTS = (
    Way("returns", _GO, release=CLOSE),
    Way("cancelled by the API", (CancelRun(),)),
    *(
        Way(f"{number.name} to {target}", (Send(number, target),))
        for target in (Target.FLOW, Target.SUPERVISOR, Target.BOTH, Target.GROUP)
        for number in (SIGTERM, SIGKILL)
        if (target, number) != (Target.SUPERVISOR, SIGKILL)
    ),
    # The flow goes on: nobody tells it that its supervisor is dead.
    Way(
        f"SIGKILL to {Target.SUPERVISOR}, then returns",
        _GO,
        before=(Send(SIGKILL, Target.SUPERVISOR), Wait(3.0)),
        release=CLOSE,
    ),
)


@dataclass(frozen=True)
class Draw:
    """All that chance decides of one trial, before it is run; durations in seconds."""

    number: int
    way: Way
    place: PlaceName
    is_async: bool
    jobs_in: str
    """Where the flow submits its jobs; an async flow does it in a thread."""
    life_seconds: float
    """From the beginning of the flow's body to its end."""
    job_seconds: float
    queue_seconds: float
    """What the session's first job waits for other people's."""
    step_seconds: float
    """What the flow computes between jobs."""
    opening_seconds: float
    """How late the service answers the request for a session."""
    opens_first: bool
    """Whether that request has had its effect all the while."""

    @property
    def is_guarded(self) -> bool:
        """Whether a guardian can act: there is one, or time enough to replace it."""
        if _NO_GUARDIAN not in self.way.before:
            return True
        pauses = (step.seconds for step in self.way.before if isinstance(step, Wait))
        return sum(pauses) >= RESTART_SECONDS


def draw(trials: int, seed: int) -> list[Draw]:
    """Return so many trials, the same for the same seed, with each way as often as the others."""
    chance = random.Random(seed)  # noqa: S311
    supervised = round(trials * SUPERVISED_SHARE)
    alone = islice(_shuffled(SCRIPTS, chance), trials - supervised)
    both = [(way, place) for way in DEPLOYMENTS for place in (SERVE, WORKER)]
    rows = [*((way, SCRIPT) for way in alone), *islice(_shuffled(both, chance), supervised)]
    chance.shuffle(rows)
    return [_draw(number, way, place, chance) for number, (way, place) in enumerate(rows, 1)]


def _shuffled(items: Iterable[T], chance: random.Random) -> Iterable[T]:
    """Return the items for ever, in another order each time."""
    cards = tuple(items)
    return chain.from_iterable(chance.sample(cards, len(cards)) for _ in repeat(None))


def _draw(number: int, way: Way, place: PlaceName, chance: random.Random) -> Draw:
    def drawn(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(
            Wait(chance.uniform(0, step.seconds)) if isinstance(step, Wait) else step
            for step in steps
        )

    life_seconds = chance.uniform(0, LIFE_SECONDS)
    if way.has_timeout:
        life_seconds = max(life_seconds, SHORTEST_TIMEOUT_SECONDS)
    return Draw(
        number=number,
        way=replace(way, before=drawn(way.before), end=drawn(way.end)),
        place=place,
        is_async=chance.random() < 1 / 3,
        jobs_in=chance.choice(("body", "task", "submitted task")),
        life_seconds=life_seconds,
        job_seconds=chance.uniform(0.1, 0.5),
        queue_seconds=_sometimes(chance, 2.0),
        step_seconds=chance.uniform(0, 0.4),
        opening_seconds=_sometimes(chance, 1.5),
        opens_first=chance.random() < 1 / 2,
    )


def _sometimes(chance: random.Random, seconds: float) -> float:
    """Return nothing, or one time in three up to so many seconds."""
    return chance.uniform(0, seconds) if chance.random() < 1 / 3 else 0.0
