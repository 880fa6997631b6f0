"""
A pytest plugin: fixtures to test session flows against an emulator of the Runtime service.

pytest loads it by itself where this package is installed. It imports nothing heavy until a test
asks for one of its fixtures. `docs/testing.md` shows a whole test.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from prefect_qsession.emulator import (
        Emulator,
        EmulatorSettings,
        HandClock,
        RunningClock,
        SimulatorPool,
    )
    from prefect_qsession.emulator.faults.registry import Faults


@pytest.fixture
def qsession_emulator_settings() -> "EmulatorSettings":
    """
    Return the settings of `qsession_emulator`; override this fixture to change them.

    Jobs take their time on a hand clock, which skips it: nothing is waited for in real time, and
    the same test sees the same seconds on every machine.
    """
    from prefect_qsession.emulator import EmulatorSettings  # noqa: PLC0415 - heavy, and an extra

    return EmulatorSettings(hand_clock=True, skip_waits=True)


@pytest.fixture(scope="session")
def _qsession_simulators() -> "Iterator[SimulatorPool]":
    """Start the processes that compute once, for the emulators of all tests."""
    from prefect_qsession.emulator import SimulatorPool  # noqa: PLC0415 - heavy, and an extra

    with SimulatorPool() as simulators:
        yield simulators


@pytest.fixture
def qsession_emulator(
    qsession_emulator_settings: "EmulatorSettings", _qsession_simulators: "SimulatorPool"
) -> "Iterator[Emulator]":
    """Run an emulator of the Runtime service for the test; it records what it saw."""
    from prefect_qsession.emulator import Emulator  # noqa: PLC0415 - heavy, and an extra

    with Emulator(qsession_emulator_settings, simulators=_qsession_simulators) as emulator:
        yield emulator


@pytest.fixture
def qsession_clock(qsession_emulator: "Emulator") -> "HandClock | RunningClock":
    """Return the emulator's clock: `advance(3600)` lets an hour pass."""
    return qsession_emulator.clock


@pytest.fixture
def qsession_faults(qsession_emulator: "Emulator") -> "Faults":
    """Return the emulator's faults, none at first: `add(Fault(...))` makes something go wrong."""
    return qsession_emulator.faults


@pytest.fixture
def qsession_credentials(qsession_emulator: "Emulator") -> Iterator[str]:
    """
    Save a credentials block for the emulator in the Prefect API of the test, and return its name.

    The block is deleted after the test. Which API that is, is the test's choice: run it in
    `prefect_test_harness`, or it is your own.
    """
    from prefect_qsession.credentials import QiskitRuntimeCredentials  # noqa: PLC0415 - heavy

    name = f"qsession-test-{uuid4()}"
    QiskitRuntimeCredentials.from_environment(qsession_emulator.environment()).save(name)
    yield name
    QiskitRuntimeCredentials.delete(name)
