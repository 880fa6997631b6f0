"""The two servers of the demonstration, as processes on free loopback ports."""

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


class Servers:
    """
    Run a Prefect server with a home of its own, and the emulator, until `stop`.

    Leaving the context stops both and removes the home, unless `keep` was called.
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="qsession-demo-"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._kept = False
        self.prefect_url = f"http://{LOOPBACK}:{_free_port()}"
        self.emulator_url = f"http://{LOOPBACK}:{_free_port()}"

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

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that uses this Prefect server."""
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": f"{self.prefect_url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "NO_PROXY": f"{LOOPBACK},{os.environ.get('NO_PROXY', '')}",
        }

    def emulator_environment(self) -> dict[str, str]:
        """Return what the emulator printed for its users to paste into a shell."""
        printed = self._log("emulator").read_text().splitlines()
        exports = [shlex.split(line)[1] for line in printed if line.startswith("export ")]
        return dict(export.split("=", 1) for export in exports)

    def keep(self) -> str:
        """Leave both running, and return the command that stops them."""
        self._kept = True
        pids = " ".join(str(process.pid) for process in self._processes.values())
        return f"kill {pids} && rm -r {self.home}"

    def stop(self) -> None:
        """Stop both, and remove what they wrote."""
        for process in self._processes.values():
            process.send_signal(signal.SIGINT)
        for process in self._processes.values():
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
        while not _answers(url):
            if self._processes[name].poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The {name} did not start:\n{self._log(name).read_text()}")
            time.sleep(0.1)

    def _log(self, name: str) -> Path:
        return self.home / f"{name.replace(' ', '-').lower()}.log"


def _answers(url: str) -> bool:
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with directly.open(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        port: int = listening.getsockname()[1]
        return port
