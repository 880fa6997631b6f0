"""
A Prefect server as a process; and the demonstration's, with an emulator and a worker beside it.

Whatever in this repository needs a Prefect server starts it here, on a free loopback port.
"""

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

ROOT = Path(__file__).parents[1]
LOOPBACK = "127.0.0.1"
START_SECONDS = 180.0
"""A new database takes a quiet machine ten seconds, and a busy one much longer."""

EMULATOR = ("--jobs-ahead", "2", "--seconds-ahead", "3", "--job-seconds", "0.3")
"""Two jobs of other tenants stand before each new session; the QPU takes 0.3 s for one of ours."""


def stop_as_by_ctrl_c() -> None:
    """Have SIGTERM and SIGHUP end this process as Ctrl-C does, stopping servers on the way out."""
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda number, _frame: sys.exit(128 + number))


class PrefectServer:
    """
    A Prefect server as a process of its own, on a free port, with its home in a directory.

    Leaving the context kills it. It can be killed and started again meanwhile, and then knows what
    it knew.

    Args:
        home: Its directory; made if it is not there.
        **settings: Other settings of Prefect, by the names of their variables.
    """

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self._settings = settings
        self.port = free_port()
        """Where it listens."""
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://{LOOPBACK}:{self.port}/api"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.home / "prefect-server.log"

    def settings(self) -> dict[str, str]:
        """Return the variables that make it the Prefect server of a process."""
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "NO_PROXY": f"{LOOPBACK},{os.environ.get('NO_PROXY', '')}",
            **self._settings,
        }

    def environment(self) -> dict[str, str]:
        """Return the whole environment of such a process: nothing of this machine's accounts."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("QISKIT", "IAM_", "GLOBAL_", "IBM_", "PREFECT_"))
            and not name.lower().endswith("_proxy")
        }
        return kept | {"HOME": str(self.home), "PYTHONPATH": str(ROOT)} | self.settings()

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start it, and return its process at once; a new database takes it a while: `wait`."""
        command = ["prefect", "server", "start", "--host", LOOPBACK, "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in a terminal reaches who started it, who then ends it in order.
                start_new_session=True,
            )
        return self._process

    def wait(self) -> None:
        """Return when it answers."""
        if self._process is None:
            raise RuntimeError("The Prefect server was not launched.")
        wait_for_answer("Prefect server", f"{self.url}/health", self._process, self.log)

    def start(self) -> Self:
        """Start it, and return when it answers."""
        self.launch()
        self.wait()
        return self

    def kill(self) -> None:
        """Kill it, without a word."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not killed."""
        return self._process is not None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc_info: object) -> None:
        self.kill()


class Servers:
    """
    Run a Prefect server with a home of its own, and the emulator, until `stop`.

    Leaving the context stops them and removes the home, unless `keep` was called.
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="qsession-demo-"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._kept = False
        self._prefect = PrefectServer(
            self.home,
            # Who looks on should not have to wait for a minute.
            PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="5",
            PREFECT_WORKER_QUERY_SECONDS="1",
        )
        self.prefect_url = self._prefect.url.removesuffix("/api")
        self.emulator_url = f"http://{LOOPBACK}:{free_port()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        if not self._kept:
            self.stop()

    def start(self) -> None:
        """Start both, and return when both answer."""
        emulator_port = self.emulator_url.rpartition(":")[2]
        emulator = ("prefect_qsession.cli", "emulator", "start", "--port", emulator_port)
        self._processes["Prefect server"] = self._prefect.launch()
        self._start("emulator", *emulator, *EMULATOR)
        answer = f"{self.emulator_url}/emulator/record"
        try:
            self._prefect.wait()
            wait_for_answer("emulator", answer, self._processes["emulator"], self._log("emulator"))
        except RuntimeError as failure:
            raise SystemExit(str(failure)) from None

    def start_worker(self, pool: str) -> None:
        """Start a worker of this work pool; it asks for work every second."""
        self._start("worker", "prefect", "worker", "start", "--pool", pool)

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that uses this Prefect server."""
        return self._prefect.settings()

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

    def _log(self, name: str) -> Path:
        return self.home / f"{name.replace(' ', '-').lower()}.log"


def wait_for_answer(name: str, url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """
    Return when a server answers there.

    Raises:
        RuntimeError: It ended before, or has not in time; with what it printed.
    """
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The {name} did not start:\n{log.read_text()}")
        time.sleep(0.1)


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
