"""What happens in a worker, as the text that its flow's process reads."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from prefect.logging.loggers import get_logger
from pydantic import TypeAdapter

from prefect_qsession.reporting.run_events import HAPPENINGS, Happening

logger = get_logger("qsession.news")

_KINDS = {kind.event: kind for kind in HAPPENINGS}


class News(NamedTuple):
    """A happening, and when the worker's clock said that it happened."""

    happening: Happening
    at: datetime


def as_text(news: Iterable[News]) -> str:
    """Return what `from_text` reads; what cannot be said as text is left out."""
    return json.dumps([told for it in news if (told := _told(it))])


def from_text(text: str) -> Iterator[News]:
    """
    Return the news in their order; those of a kind that this version does not know are left out.

    Raises:
        ValueError: It is no such text.
    """
    for event, at, said in json.loads(text):
        if event in _KINDS:
            yield News(_adapter(event).validate_python(said), datetime.fromisoformat(at))


def _told(news: News) -> list[Any] | None:
    kind = news.happening.event
    try:
        said = _adapter(kind).dump_python(news.happening, mode="json")
    except ValueError as error:
        logger.debug("What happened in a worker is not told: %s", error)
        return None
    return [kind, news.at.isoformat(), said]


@cache
def _adapter(event: str) -> TypeAdapter[Happening]:
    return TypeAdapter(_KINDS[event])
