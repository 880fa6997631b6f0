"""What happens in a history: drawn by its seed, the same in every attempt of the flow run. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from random import Random

from prefect_qsession.emulator import Answer, Delay, Drop, FailJob, Fault


class Then(Enum):
    """What becomes of a job after its submission."""

    WAIT = auto()
    WAIT_IN_VAIN = auto()
    """For no time at all first, then until it is over."""
    WAIT_TWICE = auto()
    """In two threads at once."""
    POLL = auto()
    CANCEL = auto()
    FORGET = auto()


class How(Enum):
    """Where the requests of a round come from."""

    BODY = auto()
    MAP = auto()
    """Tasks, where the task runner runs them."""
    TASKS = auto()
    """Tasks that the body calls, one after the other."""
    THREADS = auto()
    """Threads of the user's own, which were given the context."""
    BARE_THREADS = auto()
    """The same, which were not."""
    GATHER = auto()
    """Coroutines of an async body."""


class End(Enum):
    """How an attempt ends."""

    RETURN = auto()
    RAISE = auto()
    """Is tried again, if the flow run may be."""
    DIE = auto()
    """With what no handler of errors catches; the flow run is resumed afterwards, if it may be."""


class Elsewhere(Enum):
    """What happens outside of the flow run's own process."""

    LOST = auto()
    """The service ends the session: its time is over."""
    CLOSED = auto()
    CANCELLED = auto()
    API_SLOW = auto()
    API_GONE = auto()
    """For a second."""


@dataclass(frozen=True)
class Ask:
    """One request: the number that the job is to measure, and what becomes of the job."""

    number: int
    then: Then
    cut_after_seconds: float | None = None
    """A task is given no more time, and tried again once."""


@dataclass(frozen=True)
class Round:
    """Requests that are made side by side, or one after the other."""

    how: How
    asks: Sequence[Ask]
    trouble: Sequence[Fault | Elsewhere] = ()
    """What goes wrong before it, the first time."""


@dataclass(frozen=True)
class Attempt:
    """How far an attempt comes, and how it ends there."""

    rounds: int
    end: End


@dataclass(frozen=True)
class History:
    """All that is decided beforehand."""

    seed: int
    is_async: bool
    takes_time: bool
    """Whether jobs wait and run, or are over as soon as they are submitted."""
    on_workers: bool
    pack: str | None
    qpu_budget: str | None
    rounds: Sequence[Round]
    attempts: Sequence[Attempt]
    """The last one ends the flow run."""

    @property
    def is_undisturbed(self) -> bool:
        """Whether nothing goes wrong that the flow run itself does not do."""
        asks = [ask for each in self.rounds for ask in each.asks]
        return self.qpu_budget is None and not (
            any(each.trouble for each in self.rounds)
            or any(ask.cut_after_seconds is not None for ask in asks)
        )


NUMBERS = 31
"""As many as a device of five qubits can tell apart, without nothing at all."""

_SUBMIT = ("/jobs", "POST")
_ROUTES: Sequence[tuple[str, str | None]] = (
    _SUBMIT,
    _SUBMIT,
    ("/jobs/{id}", "GET"),
    ("/jobs/{id}/results", "GET"),
    ("/jobs", "GET"),
    ("/sessions", "POST"),
    ("/sessions/{id}", "GET"),
    ("/sessions/{id}/close", "DELETE"),
    ("/sessions/*", None),
    ("/jobs/{id}/cancel", "POST"),
    ("*", None),
)


def draw(seed: int) -> History:
    """Return the history of this seed."""
    random = Random(seed)  # noqa: S311 - no secret
    is_async = random.random() < 0.25
    on_workers = not is_async and random.random() < 0.2
    numbers = iter(random.sample(range(1, NUMBERS + 1), NUMBERS))
    is_calm = random.random() < 0.25
    rounds = tuple(
        _round(random, numbers, is_async=is_async, is_calm=is_calm)
        for _ in range(random.randint(1, 3))
    )
    attempts = tuple(_attempts(random, len(rounds)))
    return History(
        seed=seed,
        is_async=is_async,
        takes_time=random.random() < 0.5,
        on_workers=on_workers,
        pack=random.choice((None, "5ms", "20ms")),
        qpu_budget=None if is_calm else random.choice((None, None, "1h", "10s")),
        rounds=rounds,
        attempts=attempts,
    )


def _round(random: Random, numbers: Iterator[int], *, is_async: bool, is_calm: bool) -> Round:
    ways = [How.BODY, How.GATHER] if is_async else [it for it in How if it is not How.GATHER]
    how = random.choice((*ways, How.GATHER if is_async else How.MAP))
    most = 2 if how in (How.BODY, How.TASKS) else 4
    asks = tuple(
        Ask(number, _then(random), None if is_calm else _cut(random, how))
        for number, _ in zip(numbers, range(random.randint(1, most)), strict=False)
    )
    return Round(how, asks, () if is_calm else tuple(_trouble(random)))


def _then(random: Random) -> Then:
    then: Then = random.choice((Then.WAIT, Then.WAIT, Then.WAIT, *Then))
    return then


def _cut(random: Random, how: How) -> float | None:
    if how not in (How.MAP, How.TASKS) or random.random() > 0.15:
        return None
    return random.choice((0.02, 0.05, 0.1))


def _trouble(random: Random) -> Iterator[Fault | Elsewhere]:
    for _ in count():
        if random.random() < 0.6:
            return
        if random.random() < 0.3:
            kinds = [it for it in Elsewhere if it is not Elsewhere.API_GONE]
            rare = random.random() < 0.1
            yield Elsewhere.API_GONE if rare else random.choice(kinds)
        else:
            yield _fault(random)


def _fault(random: Random) -> Fault:
    after_work = random.random() < 0.5
    times = random.choice((1, 1, 1, 2))
    effect = random.choice(
        (
            Answer(503, after_work=after_work),
            Answer(500, after_work=after_work),
            Answer(429, retry_after_seconds=0),
            Drop(after_work=after_work),
            Drop(after_work=after_work),
            Delay(8, after_work=after_work),
            FailJob(9999),
            FailJob(1217),
        )
    )
    if isinstance(effect, FailJob):
        return Fault("/jobs", effect, method="POST", count=times)
    route, method = random.choice(_ROUTES)
    return Fault(route, effect, method=method, count=times)  # type: ignore[arg-type]  # a literal


def _attempts(random: Random, rounds: int) -> Iterator[Attempt]:
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        end = random.choice((End.RAISE, End.RAISE, End.DIE))
        yield Attempt(random.randint(0, rounds), end)
    yield Attempt(rounds, random.choice((End.RETURN, End.RETURN, End.RETURN, End.RAISE, End.DIE)))
