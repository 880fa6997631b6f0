"""What a benchmark runs against, each in a process of its own: Prefect, the service, a far line."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection
from tempfile import TemporaryDirectory
from typing import Any

from demo.servers import PrefectServer

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
        with create_connection(("127.0.0.1", self.count_port)) as teller:
            return int(teller.makefile().readline())


@contextmanager
def prefect_server(**settings: str) -> Iterator[Callable[[], None]]:
    """
    Start a Prefect server with a home that is thrown away, and hand out what waits until it is up.

    What it knows it keeps in SQLite, unless its settings say otherwise: Prefect's own, by the names
    of their variables.

    A new database takes it more than ten seconds, which are better used than waited for. Prefect
    reads the environment when it is imported: import nothing of it before.
    """
    with TemporaryDirectory(prefix="qsession-benchmark-", ignore_cleanup_errors=True) as home:
        server = PrefectServer(Path(home), **settings)
        os.environ |= QUIET | server.settings()
        server.launch()
        try:
            yield server.wait
        finally:
            server.kill()


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
    started = ("benchmarks._service", json.dumps(settings))
    with process(*started, stdout=subprocess.PIPE) as emulator:
        told = json.loads(_line_of(emulator))
        url, environment = told["url"], told["environment"]
        if round_trip_seconds is None:
            yield Service(url, environment)
            return
        port = url.rpartition(":")[2]
        far = ("benchmarks._line", port, str(round_trip_seconds))
        with process(*far, stdout=subprocess.PIPE) as line:
            line_port, count_port = _line_of(line).split()
            yield Service(url, _by(environment, port, line_port), int(count_port))


@contextmanager
def instant_service() -> Iterator[Service]:
    """Run a service whose jobs, after a first one, are over as soon as they are accepted."""
    with service(0.0) as near:
        port = near.control_url.rpartition(":")[2]
        with process("benchmarks._instant", port, stdout=subprocess.PIPE) as copies:
            own_port = _line_of(copies).strip()
            yield Service(near.control_url, _by(near.environment, port, own_port))


@contextmanager
def process(
    *module_and_arguments: str, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    """Run a Python module as a process, until the end of the context."""
    command = [sys.executable, "-m", *module_and_arguments]
    with subprocess.Popen(command, stdout=stdout, text=True) as started:
        try:
            yield started
        finally:
            started.terminate()


def _by(environment: dict[str, str], port: str, other_port: str) -> dict[str, str]:
    """Return the environment of a client that comes by another port."""
    return {
        name: value.replace(f":{port}", f":{other_port}") for name, value in environment.items()
    }


def _line_of(started: subprocess.Popen[str]) -> str:
    line = started.stdout.readline() if started.stdout else ""
    if not line:
        raise SystemExit(f"{started.args!r} did not start.")
    return line
