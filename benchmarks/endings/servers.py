"""A Prefect server for the trials, which can also be killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from demo.servers import LOOPBACK, START_SECONDS, answers, free_port

ROOT = Path(__file__).parents[2]


class PrefectServer:
    """
    A Prefect server as a process of its own, on a free port, with its home in `directory`.

    Leaving the context kills it. It can be killed and started again meanwhile, and then knows what
    it knew.
    """

    def __init__(self, directory: Path, **settings: str) -> None:
        """
        Args:
            directory: Its home.
            **settings: Other settings of Prefect, by the names of their variables.
        """
        self._home = directory
        self._settings = settings
        self._home.mkdir()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://{LOOPBACK}:{self._port}/api"

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that uses it: nothing of this machine's accounts."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("QISKIT", "IAM_", "GLOBAL_", "IBM_", "PREFECT_"))
            and not name.lower().endswith("_proxy")
        }
        own = {
            "HOME": str(self._home),
            "PYTHONPATH": str(ROOT),
            "PREFECT_HOME": str(self._home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        return kept | self._settings | own

    def start(self) -> Self:
        """Start it, and return when it answers."""
        command = ["prefect", "server", "start", "--host", LOOPBACK, "--port", str(self._port)]
        with (self._home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not answers(f"{self.url}/health"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The Prefect server did not start; see {log.name}")
            time.sleep(0.1)
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
