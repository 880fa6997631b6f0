"""Write the table of events into its page from the code: `python -m docs.event_table`."""

import re
from dataclasses import fields
from pathlib import Path

from prefect_qsession.reporting.run_events import RUN_EVENTS, RunEvent

EVENTS = Path(__file__).parent / "events.md"
_TABLE = re.compile(r"(?<=\| event \| when \| payload \|\n\|---\|---\|---\|\n)(?:\|.*\n)*")
_WORDS = {"str": "text", "float": "number", "int": "number"}


def event_table() -> str:
    """Return the rows of the table, in the order of a session's life."""
    return "".join(_row(kind) for kind in RUN_EVENTS)


def with_table(page: str) -> str:
    """Return the page with its table written anew."""
    return _TABLE.sub(lambda _: event_table(), page)


def _row(kind: type[RunEvent]) -> str:
    when = " ".join((kind.__doc__ or "").split())
    names = ", ".join(f"`{field.name}`" for field in fields(kind))  # type: ignore[arg-type]
    return f"| `qsession.{kind.name}` | {when} | {names} |\n"


if __name__ == "__main__":
    EVENTS.write_text(with_table(EVENTS.read_text()))
