"""What a benchmark runs against, each in a process of its own: Prefect, the service, a far line."""

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from socket import create_connection
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._processes import first_line, process
from demo.servers import LOOPBACK, PrefectServer

QUIET = {
    # The flow runs' own logs go to the server, as everyone's do, but not between our lines.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
}


@dataclass(frozen=True)
class Service:
    """An emulated service, at the end of a line."""

    control_url: str
    """Where its record is, past the line."""
    environment: dict[str, str]
    """What a client needs that comes by the line."""
    pid: int
    """Its process."""
    count_port: int | None = None

    def record(self) -> dict[str, Any]:
        """Return what the service itself says of its sessions and jobs, as it stands."""
        with urllib.request.urlopen(f"{self.control_url}/emulator/record") as answer:  # noqa: S310 - ours
            record: dict[str, Any] = json.load(answer)
            return record

    def requests(self) -> int:
        """Return how many requests have come by the line so far; 0 without one."""
        if self.count_port is None:
            return 0
        with create_connection((LOOPBACK, self.count_port)) as teller:
            return int(teller.makefile().readline())


@contextmanager
def prefect_server(**settings: str) -> Iterator[None]:
    """
    Run a Prefect server with a home that is thrown away, and have this process be its client.

    What it knows it keeps in SQLite, unless its settings say otherwise: Prefect's own, by the names
    of their variables. Prefect reads the environment when it is imported: import nothing of it
    before.
    """
    with TemporaryDirectory(prefix="qsession-benchmark-", ignore_cleanup_errors=True) as home:
        server = PrefectServer(Path(home), **settings)
        os.environ |= QUIET | server.settings()
        with server:
            yield


@contextmanager
def service(
    job_seconds: float,
    *,
    spread: float = 0.0,
    round_trip_seconds: float | None = None,
    jobs_ahead: int = 0,
    seconds_ahead: float = 0.0,
    devices: int | None = None,
    time_scale: float = 1.0,
) -> Iterator[Service]:
    """
    Run an emulated service, behind a line of this length if one is asked for.

    With a number of *devices* it has so many small ones, `device_0` and so on.
    """
    settings = {
        "job_seconds": job_seconds,
        "spread": spread,
        "jobs_ahead": jobs_ahead,
        "seconds_ahead": seconds_ahead,
        "devices": devices,
        "time_scale": time_scale,
    }
    with process("benchmarks._servers", json.dumps(settings)) as emulator:
        told = json.loads(first_line(emulator))
        url, environment = told["url"], told["environment"]
        if round_trip_seconds is None:
            yield Service(url, environment, emulator.pid)
            return
        port = url.rpartition(":")[2]
        with process("benchmarks._line", port, str(round_trip_seconds)) as line:
            line_port, count_port = first_line(line).split()
            environment = _by(environment, port, line_port)
            yield Service(url, environment, emulator.pid, int(count_port))


@contextmanager
def instant_service() -> Iterator[Service]:
    """Run a service whose jobs, after a first one, are over as soon as they are accepted."""
    with service(0.0) as near:
        port = near.control_url.rpartition(":")[2]
        with process("benchmarks._instant", port) as copies:
            own_port = first_line(copies).strip()
            yield replace(near, environment=_by(near.environment, port, own_port))


def _by(environment: dict[str, str], port: str, other_port: str) -> dict[str, str]:
    """Return the environment of a client that comes by another port."""
    return {
        name: value.replace(f":{port}", f":{other_port}") for name, value in environment.items()
    }


def _serve(asked: dict[str, Any]) -> None:
    """Be the emulated service; print what its clients need as one line of JSON."""
    # Not at the top: what its clients import is measured.
    from prefect_qsession import emulator  # noqa: PLC0415

    settings = emulator.EmulatorSettings(
        timing=emulator.TimingSettings(fixed_seconds=asked["job_seconds"], spread=asked["spread"]),
        queue=emulator.QueueSettings(asked["jobs_ahead"], asked["seconds_ahead"]),
        time_scale=asked["time_scale"],
    )
    if count := asked["devices"]:
        names = (f"device_{number}" for number in range(count))
        devices = tuple(emulator.DeviceSettings(name, "manila") for name in names)
        settings = replace(settings, devices=devices)

    def tell(ready: emulator.Emulator) -> None:
        print(json.dumps({"url": ready.url, "environment": ready.environment()}), flush=True)

    emulator.serve(settings, on_ready=tell)


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
