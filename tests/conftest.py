"""What every test shares: no account of this machine, and emulators on one pool of simulators."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from prefect_qsession.emulator import Emulator, EmulatorSettings, SimulatorPool, TimingSettings
from tests.harness.processes import heed_signals

MakeEmulator = Callable[..., Emulator]

heed_signals()


@pytest.fixture(autouse=True)
def _no_account_of_this_machine(monkeypatch, tmp_path):
    """Every test runs as in an empty home of its own."""
    move_into_empty_home(monkeypatch, tmp_path)


def move_into_empty_home(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Hide saved accounts, credentials files, proxies and settings of this machine."""
    for name in list(os.environ):
        if name.startswith(("QISKIT", "IAM_", "GLOBAL_", "IBM_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USAGE_DATA_OPT_OUT", "True")
    monkeypatch.chdir(home)


@pytest.fixture(scope="session")
def simulators() -> Iterator[SimulatorPool]:
    """Start the simulator processes once."""
    with SimulatorPool() as pool:
        yield pool


@pytest.fixture
def make_emulator(simulators) -> Iterator[MakeEmulator]:
    """
    Start emulators of given settings; a QPU takes no time unless told otherwise.

    A device has one lane, so that of two jobs one is seen to wait; tests/emulator/test_lanes.py has
    more.
    """
    with ExitStack() as stack:

        def make(**settings) -> Emulator:
            settings.setdefault("timing", TimingSettings.instant())
            settings.setdefault("execution_lanes", 1)
            return stack.enter_context(
                Emulator(EmulatorSettings(**settings), simulators=simulators)
            )

        yield make


@pytest.fixture
def emulator(make_emulator) -> Emulator:
    """Start the default emulator, with an instant QPU."""
    return make_emulator()
