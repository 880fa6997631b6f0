"""
The Qiskit Runtime service, emulated on loopback.

The unmodified `qiskit-ibm-runtime` client talks to it over HTTP and computes real circuits on it:

    with Emulator() as emulator:
        os.environ.update(emulator.environment())
        service = QiskitRuntimeService()

It shares no code with the rest of the package, so that it cannot agree with its mistakes.
"""

from prefect_qsession.emulator.computing.pool import SimulatorPool
from prefect_qsession.emulator.faults.effects import Answer, Delay, Drop, FailJob, Stall
from prefect_qsession.emulator.faults.fault import Fault, StandingFault
from prefect_qsession.emulator.faults.lines import fault_line, parse_fault
from prefect_qsession.emulator.rules.records import JobRecord, SessionRecord, Transition
from prefect_qsession.emulator.running.clock import HandClock, RunningClock
from prefect_qsession.emulator.server import Emulator, serve
from prefect_qsession.emulator.settings import (
    DeviceSettings,
    DisputedRules,
    EmulatorSettings,
    InstanceSettings,
    QueueSettings,
    TimingSettings,
    WorkloadLimits,
)

__all__ = [
    "Answer",
    "Delay",
    "DeviceSettings",
    "DisputedRules",
    "Drop",
    "Emulator",
    "EmulatorSettings",
    "FailJob",
    "Fault",
    "HandClock",
    "InstanceSettings",
    "JobRecord",
    "QueueSettings",
    "RunningClock",
    "SessionRecord",
    "SimulatorPool",
    "Stall",
    "StandingFault",
    "TimingSettings",
    "Transition",
    "WorkloadLimits",
    "fault_line",
    "parse_fault",
    "serve",
]
