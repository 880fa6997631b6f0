"""Names in the package: one meaning each, in the field's words; the emulator counts by itself."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from prefect_qsession import exceptions
from prefect_qsession.reporting.run_events import RUN_EVENTS

PACKAGE = Path(__file__).parents[2] / "prefect_qsession"
MODULES = [path for path in PACKAGE.rglob("*.py") if "emulator" not in path.parts]

MOST_SESSIONS = 20

METAPHORS = (
    "aftermath callers happenings held holders invitations joined journal keeper lives mailbox news"
    " patience persistence plain receptions story watched"
)
"""Of modules, where the field has a term: events, log lines, flow run inputs, retries."""


def _classes(module: Path) -> list[str]:
    tree = ast.parse(module.read_text())
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


CLASSES = Counter(name for module in MODULES for name in _classes(module))


def test_no_two_classes_share_a_name():
    """Whoever reads a name knows what is meant, wherever it is."""
    assert [] == [name for name, count in CLASSES.items() if count > 1]


def test_no_event_is_called_as_an_error_is():
    """A job that has failed is an event for those who watch, and an error for who asked for it."""
    events = {event.__name__ for event in RUN_EVENTS}

    assert set() == events & set(vars(exceptions))
    assert all(name.endswith("Event") for name in events)


def test_few_classes_have_session_in_their_name():
    """In a package about sessions the word tells little."""
    found = sorted(name for name in CLASSES if "Session" in name)

    assert len(found) <= MOST_SESSIONS, found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_named_by_a_metaphor(module):
    """It is named by what is in it."""
    assert set() == set(module.stem.split("_")) & set(METAPHORS.split())
