"""Trials of the matrix: the selected ones run two at once, and each test waits for its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from benchmarks.endings.lanes import Lanes
from benchmarks.endings.matrix import Row
from benchmarks.endings.table import HEAD, line
from benchmarks.endings.trial import Trial
from tests.conftest import move_into_empty_home


@pytest.fixture(autouse=True)
def _no_account_of_this_machine():
    """Stay in the home that all trials share: they run in threads, while test follows test."""


_MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="package")
def trial_of(request, tmp_path_factory) -> Iterator[Callable[[Row], Trial]]:
    """Start the trials of all the rows that this run of pytest selected; hand out their results."""
    selected = (getattr(item, "callspec", None) for item in request.session.items)
    rows = [spec.params["row"] for spec in selected if spec and "row" in spec.params]
    with pytest.MonkeyPatch.context() as monkeypatch, Lanes() as lanes:
        move_into_empty_home(monkeypatch, tmp_path_factory.mktemp("home"))
        trials = lanes.start(rows)
        yield lambda row: trials[row].result()
    measured = [(row, trial.result()) for row, trial in trials.items() if _has_result(trial)]
    request.config.stash[_MEASURED] = [*HEAD, *(line(row, trial) for row, trial in measured)]


def _has_result(trial: "Future[Trial]") -> bool:
    return trial.done() and not trial.cancelled() and trial.exception() is None


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what was measured; no test asserts how fast anything is, beyond what is promised."""
    if measured := terminalreporter.config.stash.get(_MEASURED, None):
        terminalreporter.section("how flow runs ended")
        terminalreporter.write_line("\n".join(measured))
