"""
Flow runs that live through it all, and the reaper that must leave their sessions alone.

They share the ledger of the trials. Each has something that could be mistaken for a death.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from threading import Event, Thread
from typing import Any, Self

from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed

from benchmarks._emulators import one_device
from benchmarks.chaos.shared import Shared
from demo.servers import ROOT
from prefect_qsession import QiskitRuntimeCredentials
from tests.harness.flow_calls import FlowCall
from tests.harness.flow_runs import START_SECONDS, NotRun
from tests.harness.marks import Marks
from tests.harness.processes import is_alive
from tests.harness.waiting import happened

HEARTBEAT_SECONDS = 3.0
PATIENCE_SECONDS = 3.0 * HEARTBEAT_SECONDS
REAP_EVERY_SECONDS = 60.0
STOPPED_SECONDS = 25.0
AWAKE_SECONDS = 5.0
CLASSICAL_SECONDS = 3600.0
"""A step between jobs that outlasts everything."""
JOBS_EVERY_SECONDS = 5.0
JOB_SECONDS = 0.3
LAST_SECONDS = 15.0
"""What one has to end by itself, when it is let go."""


@dataclass(frozen=True)
class Kind:
    """A flow run that lives, and what could be mistaken about it."""

    name: str
    step_seconds: float = CLASSICAL_SECONDS
    stops: bool = False
    """Whether its process is stopped for long stretches, as a laptop is that sleeps."""
    seems_crashed: bool = False
    """Whether Prefect takes it for dead."""
    elsewhere: bool = False
    """Whether its process cannot be seen from where the reaper runs."""


KINDS = (
    Kind("in a long classical step"),
    Kind("stopped most of the time", JOBS_EVERY_SECONDS, stops=True),
    Kind("taken for crashed", JOBS_EVERY_SECONDS, seems_crashed=True),
    Kind("stopped, in another container", stops=True, elsewhere=True),
    Kind("taken for crashed, in another container", seems_crashed=True, elsewhere=True),
)


class LivingFlowRun:
    """One of them."""

    def __init__(self, kind: Kind, shared: Shared, directory: Path) -> None:
        self.kind = kind
        self.emulator = one_device(shared.simulators, JOB_SECONDS)
        self._shared = shared
        self._marks = Marks.in_new(directory)
        self._directory = directory
        self._block = f"chaos-{directory.name}"
        self._pid = 0

    def save_credentials(self) -> None:
        """Save the block that it will use."""
        credentials = QiskitRuntimeCredentials.from_environment(self.emulator.environment())
        credentials.save(self._block)

    def start(self) -> None:
        """Start it, and wait until its session has run its first jobs."""
        parameters = {"where": str(self._directory), "step_seconds": self.kind.step_seconds}
        self._pid = self._shared.fork_server.run(
            FlowCall("iterating", parameters),
            self._directory / "log",
            {
                "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS": self._block,
                "PREFECT_INTEGRATIONS_QSESSION_HEARTBEAT_EVERY": str(HEARTBEAT_SECONDS),
            },
            elsewhere=self.kind.elsewhere,
        )
        if not happened(lambda: len(self.emulator.jobs) == 2, START_SECONDS):  # noqa: PLR2004
            raise NotRun(f"the one {self.kind.name} did not begin; see {self._directory}")
        if self.kind.seems_crashed:
            client = SyncPrefectClient(self._shared.server.url)
            flow_run_id = self._marks.begun()[0].flow_run_id
            client.set_flow_run_state(flow_run_id, Crashed(), force=True)

    def live(self, ended: Event) -> None:
        """Stop and go on, again and again, until the end."""
        while not ended.is_set():
            os.killpg(self._pid, SIGSTOP)
            ended.wait(STOPPED_SECONDS)
            os.killpg(self._pid, SIGCONT)
            ended.wait(AWAKE_SECONDS)

    def end(self) -> dict[str, Any]:
        """Let it go, and return what became of its session."""
        released = not all(session.accepting_jobs for session in self.emulator.sessions)
        self._marks.let_go()
        happened(lambda: not is_alive(self._pid), LAST_SECONDS)
        ended_by = self.emulator.sessions[0].ended_by
        return {"kind": self.kind.name, "released_while_alive": released, "ended_by": ended_by}

    def kill(self) -> None:
        """Leave nothing of it running."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, SIGKILL)


class LivingFlowRuns:
    """All of them, and the reaper that looks at their sessions; they end with the context."""

    def __init__(self, shared: Shared) -> None:
        self.passes = 0
        """How often the reaper has looked."""
        self.failed_passes = 0
        """How often it could not, because the Prefect API did not answer."""
        self.done: list[dict[str, str]] = []
        """What it says it did."""
        self._shared = shared
        self._environment = shared.server.environment()
        self._ended = Event()
        self._resources = ExitStack()
        kinds = [kind for kind in KINDS if not kind.elsewhere or _has_namespaces()]
        self._all = [
            LivingFlowRun(kind, shared, shared.directory / f"living-{number}")
            for number, kind in enumerate(kinds, 1)
        ]

    def __enter__(self) -> Self:
        at_server = temporary_settings({PREFECT_API_URL: self._shared.server.url})
        with ExitStack() as resources, at_server:
            for one in self._all:
                resources.enter_context(one.emulator)
                resources.callback(one.kill)
                # One by one: a new server makes its key for blocks when the first is saved, and on
                # PostgreSQL it fails those that are saved meanwhile.
                one.save_credentials()
            with ThreadPoolExecutor(len(self._all)) as executor:
                list(executor.map(LivingFlowRun.start, self._all))
            resources.callback(self._ended.set)
            stopping = [partial(one.live, self._ended) for one in self._all if one.kind.stops]
            self._threads = [Thread(target=each, daemon=True) for each in stopping]
            self._threads.append(Thread(target=self._keep_reaping, daemon=True))
            for thread in self._threads:
                thread.start()
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._resources.close()

    def end(self) -> list[dict[str, Any]]:
        """Reap a last time, let them go, and return what became of their sessions."""
        self._reap()
        self._ended.set()
        for thread in self._threads:
            thread.join()
        with ThreadPoolExecutor(len(self._all)) as executor:
            return list(executor.map(LivingFlowRun.end, self._all))

    def _keep_reaping(self) -> None:
        while not self._ended.wait(REAP_EVERY_SECONDS):
            self._reap()

    def _reap(self) -> None:
        """Run the command as an operator would."""
        command = [sys.executable, "-m", "prefect_qsession.cli", "reap", "--json"]
        with self._shared.reaper_lock.reaping():
            finished = subprocess.run(
                [*command, "--patience", str(PATIENCE_SECONDS)],
                cwd=ROOT,
                env=self._environment,
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        self.passes += 1
        if finished.stdout:
            self.done += json.loads(finished.stdout)
        else:
            self.failed_passes += 1


def _has_namespaces() -> bool:
    """Whether this machine lets us start a process that cannot be seen from here."""
    try:
        made = subprocess.run(["unshare", "--pid", "--fork", "true"], check=False)  # noqa: S607
    except OSError:
        return False
    return made.returncode == 0
