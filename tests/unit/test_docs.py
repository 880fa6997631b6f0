"""The documentation says what the code says."""

import pytest

from docs.diagrams import DIAGRAMS, PICTURES
from docs.results import DOCS, SHOWN, with_results
from prefect_qsession.states import SessionState, Trigger


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_is_drawn_from_what_the_code_says_now(name):
    """`make docs` would change nothing."""
    assert DIAGRAMS[name]() == (PICTURES / f"{name}.svg").read_text()


def test_every_state_and_trigger_of_a_session_is_in_its_diagram():
    """A new row of the table has its place in the picture."""
    drawing = DIAGRAMS["session_states"]()

    assert [] == [state for state in SessionState if f">{state}<" not in drawing]
    assert [] == [trigger for trigger in Trigger if trigger not in drawing]


def test_every_page_is_linked_from_the_index():
    """As a link for whoever reads it on a code host, and in the table of contents of the site."""
    index = (PICTURES.parent / "index.md").read_text()
    pages = [page.stem for page in PICTURES.parent.glob("*.md") if page.stem != "index"]

    assert [] == [page for page in pages if f"]({page}.md)" not in index]
    assert [] == [page for page in pages if f"\n{page}\n" not in index]


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_shows_the_results_that_are_kept(name):
    """`python -m docs.results` would change nothing."""
    assert with_results(name) == (DOCS / name).read_text()
