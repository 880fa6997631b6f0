"""However a flow run ends, and wherever it runs, its session ends as it should, and in time."""

import pytest

from benchmarks.endings.matrix import ROWS
from benchmarks.endings.ways import Layer


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_session_is_left_open(row, trial_of):
    """Each session is closed or cancelled as the row says, by the emulator's record."""
    trial = trial_of(row)

    assert tuple(sorted(row.way.outcomes)) == trial.outcomes
    assert not row.is_late(trial.seconds), f"{trial.seconds:.1f} s"
    assert 0 == trial.jobs_left_queued
    assert () == trial.processes_left
    assert (row.way.layer is Layer.SERVICE) == (trial.seconds is None)
