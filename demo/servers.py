"""The two servers of the demonstration, and a worker for them, on free loopback ports."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

LOOPBACK = "127.0.0.1"
START_SECONDS = 180.0
"""A new database takes a quiet machine ten seconds, and a busy one much longer."""

EMULATOR = ("--jobs-ahead", "2", "--seconds-ahead", "3", "--job-seconds", "0.3")
"""Two jobs of other tenants stand before each new session; the QPU takes 0.3 s for one of ours."""


def stop_as_by_ctrl_c() -> None:
    """Have SIGTERM and SIGHUP end this process as Ctrl-C does, stopping servers on the way out."""
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda number, _frame: sys.exit(128 + number))


class Servers:
    """
    Run a Prefect server with a home of its own, and the emulator, until `stop`.

    Leaving the context stops them and removes the home, unless `keep` was called.
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="qsession-demo-"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._kept = False
        self.prefect_url = f"http://{LOOPBACK}:{free_port()}"
        self.emulator_url = f"http://{LOOPBACK}:{free_port()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        if not self._kept:
            self.stop()

    def start(self) -> None:
        """Start both, and return when both answer."""
        server_port = self.prefect_url.rpartition(":")[2]
        emulator_port = self.emulator_url.rpartition(":")[2]
        prefect = ("prefect", "server", "start", "--host", LOOPBACK, "--port", server_port)
        emulator = ("prefect_qsession.cli", "emulator", "start", "--port", emulator_port)
        self._start("Prefect server", *prefect)
        self._start("emulator", *emulator, *EMULATOR)
        self._wait("Prefect server", f"{self.prefect_url}/api/health")
        self._wait("emulator", f"{self.emulator_url}/emulator/record")

    def start_worker(self, pool: str) -> None:
        """Start a worker of this work pool; it asks for work every second."""
        self._start("worker", "prefect", "worker", "start", "--pool", pool)

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that uses this Prefect server."""
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": f"{self.prefect_url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            # Who looks on should not have to wait for a minute.
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "DO_NOT_TRACK": "1",
            "NO_PROXY": f"{LOOPBACK},{os.environ.get('NO_PROXY', '')}",
        }

    def emulator_environment(self) -> dict[str, str]:
        """Return what the emulator printed for its users to paste into a shell."""
        printed = self._log("emulator").read_text().splitlines()
        exports = [shlex.split(line)[1] for line in printed if line.startswith("export ")]
        return dict(export.split("=", 1) for export in exports)

    def keep(self) -> str:
        """Leave everything running, and return the command that stops it."""
        self._kept = True
        pids = " ".join(str(process.pid) for process in reversed(self._processes.values()))
        return f"kill {pids} && rm -r {self.home}"

    def stop(self) -> None:
        """Stop everything, last started first, and remove what it wrote."""
        last_first = [*reversed(self._processes.values())]
        for process in last_first:
            process.send_signal(signal.SIGINT)
        for process in last_first:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def _start(self, name: str, module: str, *arguments: str) -> None:
        # A process group of its own: Ctrl-C in the demonstration reaches it first, and stop() then
        # ends both in order.
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=os.environ | self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, name: str, url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            if self._processes[name].poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The {name} did not start:\n{self._log(name).read_text()}")
            time.sleep(0.1)

    def _log(self, name: str) -> Path:
        return self.home / f"{name.replace(' ', '-').lower()}.log"


def answers(url: str) -> bool:
    """Whether a server answers there, asked without any proxy."""
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with directly.open(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    """Return a loopback port that nobody uses at the moment."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        port: int = listening.getsockname()[1]
        return port
