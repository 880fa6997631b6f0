"""Trials of the matrix, one after the other in each process that runs tests."""

from collections.abc import Iterator

import pytest

from tests.conftest import move_into_empty_home
from tests.matrix.trials import Trials


@pytest.fixture(autouse=True)
def _no_account_of_this_machine():
    """Stay in the home that all trials share: what they start lives longer than one test."""


@pytest.fixture(scope="package")
def trials(tmp_path_factory, simulators) -> Iterator[Trials]:
    """Return what runs trials, with every place that one has asked for."""
    directory = tmp_path_factory.mktemp("trials")
    with pytest.MonkeyPatch.context() as monkeypatch, Trials(directory, simulators) as trials:
        move_into_empty_home(monkeypatch, tmp_path_factory.mktemp("home"))
        yield trials
