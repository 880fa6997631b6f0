"""The matrix as data: every way is tried somewhere, and can be told apart."""

from collections import Counter
from pathlib import Path

import pytest

from tests.harness.calls import CALLS
from tests.harness.places import PlaceName
from tests.harness.versions import SINCE_PREFECT_3_9
from tests.matrix.rows import ROWS, WAYS, each_way_and_each_layer_once
from tests.matrix.table import HEAD
from tests.matrix.ways import Layer, Moment

PAGE = Path(__file__).parents[2] / "docs/endings.md"


def test_no_two_rows_have_the_same_name():
    """A name stands for one row, in reports and on the command line."""
    names = Counter(row.name for row in ROWS)

    assert {1} == set(names.values())


@pytest.mark.skipif(not SINCE_PREFECT_3_9, reason="the page is about the newer Prefect")
def test_the_page_has_a_line_for_every_row_and_for_nothing_else():
    """Way, place, outcome, layer and limit as they are tried; the seconds were measured."""
    lines = (line for line in PAGE.read_text().splitlines() if line.startswith("| "))
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    [head] = HEAD[0].splitlines()
    told = [each for each in cells if len(each) == head.count("|") - 1 and each[0] not in head]
    rows = [
        (
            row.way.name,
            row.place.value,
            ", ".join(sorted(row.way.outcomes)),
            row.way.layer.value,
            f"{row.way.within_seconds:g}",
        )
        for row in ROWS
    ]

    assert sorted(rows) == sorted((*each[:4], each[5]) for each in told)


def test_every_place_moment_and_layer_is_tried():
    """Nothing that the matrix can say is left unsaid."""
    assert set(PlaceName) == {row.place for row in ROWS}
    assert set(Moment) == {way.moment for way in WAYS}
    assert set(Layer) == {way.layer for way in WAYS}


def test_every_call_of_a_script_is_tried_in_scripts_only():
    """A deployment calls its flow in one way, and has the environment of its supervisor."""
    assert set(CALLS) == {way.call for way in WAYS}
    for way in WAYS:
        if way.call != "directly" or way.environment:
            assert (PlaceName.SCRIPT,) == way.places


def test_every_way_in_which_the_issue_asks_for_an_async_flow_has_one():
    """Return, exception, cancellation, signal and timeout, each also with an async flow."""
    names = {way.name for way in WAYS if way.name.endswith(", async")}

    for begin in ("return", "exception", "cancel", "SIGTERM", "timeout"):
        assert any(name.startswith(begin) for name in names)


def test_the_rows_that_are_tried_before_each_commit_have_every_way_and_every_defence():
    """Each way once, and each pair of a place and a layer; the other rows are slow."""
    once = each_way_and_each_layer_once()

    assert set(WAYS) == {row.way for row in once}
    assert {(row.place, row.way.layer) for row in ROWS} == {
        (row.place, row.way.layer) for row in once
    }
    assert len(once) < len(ROWS)
