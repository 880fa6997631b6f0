"""What every test shares: no account of this machine, and emulators on one pool of simulators."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from prefect_qsession.emulator import Emulator, EmulatorSettings, SimulatorPool, TimingSettings

MakeEmulator = Callable[..., Emulator]


@pytest.fixture(autouse=True)
def _no_account_of_this_machine(monkeypatch, tmp_path):
    """Hide saved accounts, credentials files, proxies and settings of this machine."""
    for name in list(os.environ):
        if name.startswith(("QISKIT", "IAM_", "GLOBAL_", "IBM_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USAGE_DATA_OPT_OUT", "True")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def simulators() -> Iterator[SimulatorPool]:
    """Start the simulator processes once."""
    with SimulatorPool() as pool:
        yield pool


@pytest.fixture
def make_emulator(simulators) -> Iterator[MakeEmulator]:
    """Start emulators of given settings; a QPU takes no time unless told otherwise."""
    with ExitStack() as stack:

        def make(**settings) -> Emulator:
            settings.setdefault("timing", TimingSettings.instant())
            return stack.enter_context(
                Emulator(EmulatorSettings(**settings), simulators=simulators)
            )

        yield make


@pytest.fixture
def emulator(make_emulator) -> Emulator:
    """Start the default emulator, with an instant QPU."""
    return make_emulator()
