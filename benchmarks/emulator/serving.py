"""An emulator in a process of its own, whose memory and processor time can be looked at."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect_qsession.emulator import Emulator, EmulatorSettings, TimingSettings, serve

BACKEND = "ibm_sherbrooke"


@dataclass(frozen=True)
class Usage:
    """What the service's own process and its simulator have used so far."""

    service_cpu_seconds: float
    simulator_cpu_seconds: float
    service_peak_mib: float
    simulator_peak_mib: float


@dataclass(frozen=True)
class Served:
    """A running emulator: its address, what its clients need in their environment, its process."""

    url: str
    environment: dict[str, str]
    pid: int

    def usage(self) -> Usage:
        """Look at its processes."""
        simulators = _children(self.pid)
        return Usage(
            _cpu_seconds(self.pid),
            sum(map(_cpu_seconds, simulators)),
            _peak_mib(self.pid),
            sum(map(_peak_mib, simulators)),
        )


@contextmanager
def served() -> Iterator[Served]:
    """Run an emulator whose QPUs take no time."""
    command = [sys.executable, "-m", "benchmarks.emulator.serving"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise SystemExit("The emulator has no output.")
        told = json.loads(process.stdout.readline())
        try:
            yield Served(told["url"], told["environment"], process.pid)
        finally:
            process.terminate()


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _cpu_seconds(pid: int) -> float:
    """Return a process's time on a processor (man 5 proc: utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mib(pid: int) -> float:
    """Return the most memory that a process has held at once (man 5 proc: VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return math.nan


def _tell(emulator: Emulator) -> None:
    print(json.dumps({"url": emulator.url, "environment": emulator.environment()}), flush=True)


if __name__ == "__main__":
    serve(EmulatorSettings(timing=TimingSettings.instant()), on_ready=_tell)
