"""What is found after a history, and may not be."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prefect_qsession.exceptions import QSessionError
from tests.harness.histories.drawn import Ask, History, Then
from tests.harness.histories.flow import Notes


@dataclass(frozen=True)
class Found:
    """How often each thing that may not be was found; all 0 if all is well."""

    sessions_left_open: int = 0
    jobs_paid_twice: int = 0
    results_lost_or_swapped: int = 0
    reservations_left: int = 0
    threads_left: int = 0
    hung: int = 0
    told: Sequence[str] = field(default=(), compare=False)
    """What helps to find the reason."""


def paid_twice(numbers: Iterable[int]) -> int:
    """Return how many jobs too many there were, given the numbers that completed jobs measured."""
    return sum(times - 1 for times in Counter(numbers).values())


def lost_or_swapped(history: History, notes: Notes) -> int:
    """
    Return how many requests were answered by what others asked for, or not, for no reason.

    A request may be refused by one of our own errors where something went wrong; where nothing did,
    whoever waits gets a result.
    """
    swapped = sum(asked != given for asked, given in notes.given)
    foreign = sum(not _is_ours(error) for _, error in notes.refused)
    if not history.is_undisturbed:
        return swapped + (0 if _was_cut(history) else foreign)
    given = {asked for asked, _ in notes.given}
    lost = {ask.number for ask in _waited_for(history)} - given
    return swapped + foreign + len(lost)


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, QSessionError)


def _was_cut(history: History) -> bool:
    return any(ask.cut_after_seconds for each in history.rounds for ask in each.asks)


def _waited_for(history: History) -> Sequence[Ask]:
    reached = max(attempt.rounds for attempt in history.attempts)
    asks = [ask for each in history.rounds[:reached] for ask in each.asks]
    return [ask for ask in asks if ask.then not in (Then.CANCEL, Then.FORGET)]
