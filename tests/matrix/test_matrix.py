"""However a flow run ends, and wherever it runs, its session ends as it should, and in time."""

import pytest

from tests.matrix.rows import ROWS, Row, each_way_and_each_layer_once
from tests.matrix.table import line
from tests.matrix.ways import Layer

ONCE = each_way_and_each_layer_once()


def _parameter(row: Row):
    marks = [] if row in ONCE else [pytest.mark.slow]
    # What a place has started serves all the trials in it: they share a process.
    shared = [pytest.mark.xdist_group(row.group)] if row.group else []
    return pytest.param(row, id=row.name, marks=[*marks, *shared])


@pytest.mark.parametrize("row", [_parameter(row) for row in ROWS])
def test_no_session_is_left_open(row, trials, record_property):
    """Each session is closed or cancelled as the row says, by the emulator's record."""
    trial = trials.run(row)
    record_property("ending", line(row, trial))

    assert tuple(sorted(row.way.outcomes)) == trial.outcomes
    assert not row.is_late(trial.seconds), f"{trial.seconds:.1f} s"
    assert 0 == trial.jobs_left_queued
    assert () == trial.processes_left
    assert (row.way.layer is Layer.SERVICE) == (trial.seconds is None)
