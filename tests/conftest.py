"""What every test shares: no account of this machine, and emulators on one pool of simulators."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from prefect_qsession.emulator import Emulator, EmulatorSettings, SimulatorPool, TimingSettings
from tests.harness.processes import heed_signals

MakeEmulator = Callable[..., Emulator]

heed_signals()

STEADY = {
    # The same examples in every run: what fails, fails for everybody.
    "derandomize": True,
    "database": None,
    # How long one takes says more of the machine than of the code.
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}
settings.register_profile("quick", max_examples=30, stateful_step_count=30, **STEADY)
settings.register_profile("deep", max_examples=300, stateful_step_count=40, **STEADY)
settings.load_profile("quick")


def pytest_collection_modifyitems(items):
    """Mark what hypothesis draws examples for: `make test-slow` draws many more of them."""
    for item in items:
        if getattr(item, "obj", None) and is_hypothesis_test(item.obj):
            item.add_marker("deep")


def pytest_terminal_summary(terminalreporter):
    """Print how the flow runs of the matrix ended, in the order of its table."""
    lines = {
        report.nodeid: value
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        for name, value in report.user_properties
        if name == "ending"
    }
    if lines:
        from tests.matrix.table import HEAD  # noqa: PLC0415 - it imports much

        terminalreporter.section("how flow runs ended")
        terminalreporter.write_line("\n".join((*HEAD, *lines.values())))


@pytest.fixture(autouse=True)
def _no_account_of_this_machine(monkeypatch, tmp_path):
    """Every test runs as in an empty home of its own."""
    move_into_empty_home(monkeypatch, tmp_path)


def move_into_empty_home(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Hide saved accounts, credentials files, proxies and settings of this machine."""
    # A process of pytest-xdist has the size of a terminal that it does not have.
    not_ours = ("QISKIT", "IAM_", "GLOBAL_", "IBM_", "COLUMNS", "LINES")
    for name in list(os.environ):
        if name.startswith(not_ours) or name.lower().endswith("_proxy"):
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
