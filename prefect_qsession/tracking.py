"""The user's own numbers, from the flow to whoever watches it."""

import math
from collections.abc import Iterable, Mapping
from functools import cache
from numbers import Real
from operator import index
from typing import Any, SupportsIndex
from uuid import UUID

from prefect.context import TaskRunContext
from prefect.logging.loggers import get_logger

from prefect_qsession.exceptions import NotInSessionFlow
from prefect_qsession.reporting.run_events import TrackedEvent
from prefect_qsession.session.flow_run_sessions import current_flow_run_session, from_any_thread

logger = get_logger("qsession.tracking")


@from_any_thread
def track(
    *, iteration: SupportsIndex | None = None, total: SupportsIndex | None = None, **values: Any
) -> None:
    """
    Show numbers of the flow run in Prefect's UI, while it runs: `track(energy=-1.13, iteration=7)`.

    Each gets a convergence curve in the session report, and all go into the event
    `qsession.iteration.tracked`. With `total`, a progress artifact says how far the iterations are.
    Inside a task, the task run is named after the iteration and the numbers. It takes a fraction of
    a millisecond and never fails the flow: what is no number is left out. Works wherever
    `estimator()` does: the flow's body, tasks, threads, subflows, workers. Elsewhere, as where a
    function is tried out without its flow, it does nothing, and says so once in the log.

    Args:
        iteration: Its number; counted from one if left out, but on workers, which know nothing of
            each other: there the report counts them as they arrive.
        total: How many iterations there will be, or at the most; `track(total=60)` says just that,
            before the first.
        values: Numbers by name. Of several, as a gradient, the Euclidean norm is shown.
    """
    try:
        session = current_flow_run_session("track()")
    except NotInSessionFlow as error:
        _tell_once(f"Nothing is tracked here. {error}")
        return
    numbers, iteration, total = dict(_numbers(values)), _whole(iteration), _whole(total)
    if iteration is None and values:
        iteration = session.next_iteration()
    session.emit(TrackedEvent(numbers, iteration, total))
    if iteration is not None or numbers:
        _name_task_run(session.task_run_names, iteration, numbers)


def name_with(
    name: str, iteration: int | None, numbers: Mapping[str, float], *, is_custom: bool
) -> str:
    """
    Return a task run's name that carries the iteration and what was found in it.

    Args:
        name: Without numbers.
        iteration: If it is known; left out where the name is the user's own, who has said there
            what matters.
        numbers: By name, which is left out where there is only one.
        is_custom: Whether the user has chosen the name.
    """
    base = name if is_custom or iteration is None else f"{name} {iteration}"
    if not numbers:
        return base
    is_clear = len(numbers) == 1
    said = (f"{value:.6g}" if is_clear else f"{key} {value:.6g}" for key, value in numbers.items())
    return f"{base}: {', '.join(said)}"


def _whole(number: SupportsIndex | None) -> int | None:
    """Return it as Python's own, whatever kind of integer it is, or None."""
    try:
        return None if number is None else index(number)
    except TypeError:
        _tell_once(f"An iteration is a whole number, not a {type(number).__name__}.")
        return None


def _numbers(values: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for name, value in values.items():
        try:
            number = float(value) if isinstance(value, Real) else _norm(value)
        except (TypeError, ValueError):
            _tell_once(f"What is tracked as {name!r} is no number: a {type(value).__name__}.")
            continue
        if math.isfinite(number):
            yield name, number


def _norm(value: Any) -> float:
    try:
        # NumPy's arrays of one element included.
        return float(value)
    except TypeError:
        return math.hypot(*(float(item) for item in value))


def _name_task_run(
    names: dict[UUID, str], iteration: int | None, numbers: Mapping[str, float]
) -> None:
    """Name the task run, if this is one: Prefect sends its name along with its next state."""
    context = TaskRunContext.get()
    if context is None:
        return
    is_custom = bool(context.task.task_run_name)
    run = context.task_run
    # As it was before it first carried numbers.
    name = names.setdefault(run.id, run.name) if is_custom else context.task.name
    run.name = name_with(name, iteration, numbers, is_custom=is_custom)


@cache
def _tell_once(message: str) -> None:
    logger.warning("%s", message)
