"""An emulated service in the process of a benchmark."""

from typing import Any

from prefect_qsession.emulator import (
    DeviceSettings,
    Emulator,
    EmulatorSettings,
    SimulatorPool,
    TimingSettings,
)

DEVICE = "ibm_manila"


def one_device(simulators: SimulatorPool, job_seconds: float = 0.0, **settings: Any) -> Emulator:
    """Return a service of one small device, on the machine's clock; to be started."""
    timing = TimingSettings(fixed_seconds=job_seconds)
    devices = (DeviceSettings(DEVICE, "manila"),)
    return Emulator(
        EmulatorSettings(devices=devices, timing=timing, **settings), simulators=simulators
    )
