"""What happens in a worker, as the text that its flow's process reads."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from prefect.logging.loggers import get_logger
from pydantic import TypeAdapter

from prefect_qsession.reporting.run_events import RUN_EVENTS, RunEvent

logger = get_logger("qsession.event_serialization")

_KINDS = {kind.name: kind for kind in RUN_EVENTS}


class TimedEvent(NamedTuple):
    """An event, and when the worker's clock said that it happened."""

    event: RunEvent
    at: datetime


def as_text(events: Iterable[TimedEvent]) -> str:
    """Return what `from_text` reads; what cannot be said as text is left out."""
    return json.dumps([told for timed in events if (told := _told(timed))])


def from_text(text: str) -> Iterator[TimedEvent]:
    """
    Return the events in their order; those of a kind that this version does not know are left out.

    Raises:
        ValueError: It is no such text.
    """
    for name, at, said in json.loads(text):
        if name in _KINDS:
            yield TimedEvent(_adapter(name).validate_python(said), datetime.fromisoformat(at))


def _told(timed: TimedEvent) -> list[Any] | None:
    name = timed.event.name
    try:
        said = _adapter(name).dump_python(timed.event, mode="json")
    except ValueError as error:
        logger.debug("What happened in a worker is not told: %s", error)
        return None
    return [name, timed.at.isoformat(), said]


@cache
def _adapter(name: str) -> TypeAdapter[RunEvent]:
    return TypeAdapter(_KINDS[name])
