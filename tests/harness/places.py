"""
The places where Prefect runs flows, as real processes.

Each starts flow runs and knows which process supervises them. What a place starts is gone when its
context is left, whatever was done to it before.
"""

import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Self
from uuid import UUID

from httpx import TransportError
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from demo.servers import ROOT
from tests.harness.flow_calls import FlowCall
from tests.harness.forks import ForkServer
from tests.harness.waiting import happened

START_SECONDS = 90.0

STAY_AT_ROOT = {"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}
"""A pull step. With a path in its place, the worker would copy the checkout for every flow run."""


class PlaceName(StrEnum):
    """Where a flow run runs."""

    SCRIPT = "script"
    FLOW_SERVE = "flow.serve()"
    SERVE = "serve()"
    WORKER = "process worker"


class Place(ABC):
    """
    One place, on one Prefect server.

    Args:
        environment: The whole environment of what runs here.
        directory: For what it leaves; its name is that of the credentials block of its flow runs.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.block = f"place-{directory.name}"
        self.environment = {
            **environment,
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS": self.block,
        }
        self.directory = directory

    @abstractmethod
    def start(self, call: FlowCall) -> None:
        """Have the flow run; return at once. Only a script can be called in ways of its own."""

    @property
    @abstractmethod
    def supervisors(self) -> list[int]:
        """The processes above the flow run's own that a person would know of."""

    @abstractmethod
    def stop(self) -> None:
        """Kill what was started here, all of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()


class Script(Place):
    """A script for every flow run: a fork of a process that has imported what it imports."""

    def __init__(
        self, environment: Mapping[str, str], directory: Path, fork_server: ForkServer
    ) -> None:
        super().__init__(environment, directory)
        self._fork_server = fork_server
        self._pid: int | None = None

    def start(self, call: FlowCall) -> None:
        """Fork the script."""
        self.stop()
        self._pid = self._fork_server.run(call, self.directory / "log", self.environment)

    @property
    def supervisors(self) -> list[int]:
        """Nothing stands above a script."""
        return []

    def stop(self) -> None:
        """Kill the script that was started last."""
        if self._pid is not None:
            kill_group(self._pid)
            self._pid = None


class _Supervised(Place):
    """
    A process that runs deployments; started before the first flow run, and when it is gone.

    Args:
        environment: See `Place`.
        directory: See `Place`.
        flows: Names in `flows`: those that it will be asked for.
    """

    def __init__(
        self, environment: Mapping[str, str], directory: Path, flows: tuple[str, ...]
    ) -> None:
        super().__init__(environment, directory)
        self._flows = flows
        self._process: subprocess.Popen[bytes] | None = None
        self._client = SyncPrefectClient(environment["PREFECT_API_URL"])
        self._asked_for: UUID | None = None

    def start(self, call: FlowCall) -> None:
        """Ask for a run of the flow's deployment."""
        if call != FlowCall(call.flow, call.parameters):
            raise ValueError("a deployment calls its flow, in the environment of its supervisor")
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._start_supervisor()
            if not happened(self._is_ready, START_SECONDS, every=0.1):
                raise TimeoutError(f"{self.directory} did not start")
        deployment = self._client.read_deployment_by_name(self._name_of(call.flow))
        flow_run = self._client.create_flow_run_from_deployment(
            deployment.id, parameters=dict(call.parameters)
        )
        self._asked_for = flow_run.id

    def stop(self) -> None:
        """Kill the supervisor, and withdraw what was asked of it: it may not have begun."""
        if self._process is not None:
            kill_group(self._process.pid)
            self._process.wait()
            self._process = None
        if self._asked_for is not None:
            # A server that a trial has killed starts nothing any more, and is not waited for.
            impatient = temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1})
            with suppress(ObjectNotFound, TransportError), impatient:
                self._client.delete_flow_run(self._asked_for)
            self._asked_for = None

    @property
    def supervisors(self) -> list[int]:
        """The supervisor, if it runs."""
        runs = self._process is not None and self._process.poll() is None
        return [self._process.pid] if self._process is not None and runs else []

    _deployment: str

    @abstractmethod
    def _start_supervisor(self) -> None: ...

    def _run(self, *module_and_arguments: str) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *module_and_arguments],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _name_of(self, flow: str) -> str:
        # Prefect names a flow after its function, with dashes.
        return f"{flow.replace('_', '-')}/{self._deployment}"

    def _is_ready(self) -> bool:
        try:
            for flow in self._flows:
                self._client.read_deployment_by_name(self._name_of(flow))
        except ObjectNotFound:
            return False
        return True


class FlowServe(_Supervised):
    """`flow.serve()` of one flow, until a run of another one is asked for."""

    _deployment = "served"

    def start(self, call: FlowCall) -> None:
        """Ask for a run of the flow."""
        if self._flows != (call.flow,):
            self.stop()
            self._flows = (call.flow,)
        super().start(call)

    def _start_supervisor(self) -> None:
        self._run("tests.harness.serving", *self._flows)


class Serve(_Supervised):
    """`serve(...)` of several flows' deployments."""

    _deployment = "imported"

    def _start_supervisor(self) -> None:
        self._run("tests.harness.serving", *self._flows)


class Worker(_Supervised):
    """`prefect worker start` of a process work pool, and deployments by entrypoint."""

    _deployment = "worked"
    _work_pool = "endings"
    _flows_file = "tests/harness/flows.py"

    def _start_supervisor(self) -> None:
        try:
            self._client.create_work_pool(WorkPoolCreate(name=self._work_pool, type="process"))
        except ObjectAlreadyExists:
            pass
        else:
            for flow in self._flows:
                self._client.create_deployment(
                    self._client.create_flow_from_name(flow.replace("_", "-")),
                    self._deployment,
                    entrypoint=f"{self._flows_file}:{flow}",
                    pull_steps=[STAY_AT_ROOT],
                    work_pool_name=self._work_pool,
                )
        self._run("prefect", "worker", "start", "--pool", self._work_pool, "--type", "process")


def kill_group(pid: int) -> None:
    """Kill a process group, if it is there."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
