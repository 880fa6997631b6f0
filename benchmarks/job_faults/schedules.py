"""
What is drawn for each trial: the requests of its flow run, and what goes wrong meanwhile.

Pure data. Counts and times are small enough that a correct client gets every result.
"""

import random
from dataclasses import dataclass
from typing import Literal

from prefect_qsession.emulator import Answer, Delay, Drop, Fault, Stall

Target = tuple[Literal["GET", "POST", "PATCH"], str]

SUBMISSION: Target = ("POST", "/jobs")
OPENING: Target = ("POST", "/sessions")
IDENTITY: Target = ("POST", "/identity/token")
SESSION_END: Target = ("PATCH", "/sessions/{id}")
QUESTIONS: tuple[Target, ...] = (
    ("GET", "/jobs/{id}"),
    ("GET", "/jobs/{id}/results"),
    ("GET", "/jobs"),
    ("GET", "/instances/usage"),
    ("GET", "/backends/{name}/status"),
)
TARGETS = (SUBMISSION, *QUESTIONS, OPENING, SESSION_END, IDENTITY)
WEIGHTS = (6, 2, 2, 2, 2, 2, 2, 1, 2)
"""A submission is what a job can be lost or made twice by."""

STATUSES = (500, 502, 503, 504, 520, 524)
LONGEST_SECONDS = 1.5
"""Of a delay or stall; far below every deadline of ours."""
SHORT_TOKEN_SECONDS = 15
"""
The life of a token in every third trial, so that it ends during the trial. Not shorter: the SDK by
which the client lists instances takes a token for expired ten seconds before, and waits a minute.
"""

Effect = Answer | Delay | Drop | Stall


@dataclass(frozen=True)
class Draw:
    """
    One trial.

    Args:
        number: Its place among the trials; decides, with the seed, all the rest.
        sequential: How many requests are made one after the other.
        mapped: How many more by mapped tasks, side by side.
        stumbling: The requests whose task fails once after it has its result, and is retried.
        stumbles: Whether the flow run itself fails once at its end, and is retried.
        token_seconds: How long a token of the identity service lives.
        faults: What goes wrong.
    """

    number: int
    sequential: int
    mapped: int
    stumbling: frozenset[int]
    stumbles: bool
    token_seconds: int
    faults: tuple[Fault, ...]

    @property
    def requests(self) -> int:
        """How many results the flow run asks for."""
        return self.sequential + self.mapped


def draw(number: int, seed: int) -> Draw:
    """Return a trial, the same for the same number and seed."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable on purpose
    sequential, mapped = chance.randint(1, 3), chance.randint(0, 3)
    faults = [_fault(chance) for _ in range(chance.randint(3, 7))]
    if chance.random() < 1 / 3:
        # One a trial: a second refusal of one request is a refusal of the key.
        method, route = chance.choice((SUBMISSION, *QUESTIONS))
        refusal = Answer(401)
        faults.append(Fault(route, refusal, method=method, count=1, probability=_odds(chance)))
    return Draw(
        number=number,
        sequential=sequential,
        mapped=mapped,
        stumbling=frozenset(n for n in range(sequential + mapped) if chance.random() < 1 / 5),
        stumbles=chance.random() < 1 / 4,
        token_seconds=SHORT_TOKEN_SECONDS if chance.random() < 1 / 3 else 3600,
        faults=tuple(faults),
    )


def _fault(chance: random.Random) -> Fault:
    [(method, route)] = chance.choices(TARGETS, WEIGHTS)
    effect = _effect(chance)
    count = chance.randint(1, 2)
    return Fault(route, effect, method=method, count=count, probability=_odds(chance))


def _effect(chance: random.Random) -> Effect:
    after_work = chance.random() < 1 / 2
    seconds = chance.uniform(0.1, LONGEST_SECONDS)
    effects = (
        Answer(chance.choice(STATUSES), after_work=after_work),
        Drop(after_work=after_work),
        Answer(429, retry_after_seconds=chance.choice((None, 0, 1))),
        Delay(seconds, after_work=after_work),
        Stall(seconds),
    )
    [effect] = chance.choices(effects, (2, 2, 1, 1, 1))
    return effect


def _odds(chance: random.Random) -> float:
    # With less than 1 it is not always the first request of its route that is struck.
    return chance.choice((0.3, 0.6, 1.0))
