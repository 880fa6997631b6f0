"""The documentation says what the code says."""

from docs.diagrams import LIFECYCLE, with_diagram


def test_the_diagram_of_states_is_that_of_the_table():
    """`make docs` would change nothing."""
    page = LIFECYCLE.read_text()

    assert with_diagram(page) == page
    assert "opening --> open: opened" in page
