"""
The places where Prefect runs flows, as real processes.

Each starts flow runs and knows which process supervises them. What a place starts is gone when its
context is left, whatever was done to it before.
"""

import json
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

from benchmarks.endings.servers import ROOT
from benchmarks.endings.waiting import wait_until

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
    """One place, on the Prefect server that `environment` names."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment: dict[str, str] = {
            **environment,
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(
        self, flow: str, call: str, parameters: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        """Have the flow run; return at once. Only a script can have an environment of its own."""

    @property
    def process(self) -> "subprocess.Popen[bytes] | None":
        """The process that was started here: the script, or the supervisor of the runs."""
        return self._process

    @property
    @abstractmethod
    def supervises(self) -> bool:
        """Whether another process than the flow run's own stands above it."""

    def stop(self) -> None:
        """Kill what was started here, all of it."""
        if self._process is not None:
            kill_group(self._process.pid)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    def _run(self, *module_and_arguments: str, **environment: str) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *module_and_arguments],
                cwd=ROOT,
                env=self._environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


class Script(Place):
    """A `python` process for every flow run."""

    supervises = False

    def start(
        self, flow: str, call: str, parameters: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        """Start the script."""
        self.stop()
        module = "benchmarks.endings.script"
        self._run(module, flow, call, json.dumps(dict(parameters)), **environment)


class _Supervised(Place):
    """A process that runs deployments; started before the first flow run, and when it is gone."""

    supervises = True

    def __init__(self, environment: Mapping[str, str], log: Path, flows: tuple[str, ...]) -> None:
        super().__init__(environment, log)
        self._flows = flows
        self._client = SyncPrefectClient(environment["PREFECT_API_URL"])
        self._asked_for: UUID | None = None

    def start(
        self, flow: str, call: str, parameters: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        """Ask for a run of the flow's deployment."""
        if call != "directly" or environment:
            raise ValueError("a deployment calls its flow, in the environment of its supervisor")
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._start_supervisor()
            if not wait_until(self._is_ready, START_SECONDS, every=0.1):
                raise TimeoutError(f"{self._log} did not start")
        deployment = self._client.read_deployment_by_name(self._name_of(flow))
        flow_run = self._client.create_flow_run_from_deployment(
            deployment.id, parameters=dict(parameters)
        )
        self._asked_for = flow_run.id

    def stop(self) -> None:
        """Kill the supervisor, and withdraw what was asked of it: it may not have begun."""
        super().stop()
        if self._asked_for is not None:
            # A server that a trial has killed starts nothing any more, and is not waited for.
            impatient = temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1})
            with suppress(ObjectNotFound, TransportError), impatient:
                self._client.delete_flow_run(self._asked_for)
            self._asked_for = None

    _deployment: str

    @abstractmethod
    def _start_supervisor(self) -> None: ...

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

    def start(
        self, flow: str, call: str, parameters: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        """Ask for a run of the flow."""
        if self._flows != (flow,):
            self.stop()
            self._flows = (flow,)
        super().start(flow, call, parameters, environment)

    def _start_supervisor(self) -> None:
        self._run("benchmarks.endings.serving", *self._flows)


class Serve(_Supervised):
    """`serve(...)` of several flows' deployments."""

    _deployment = "imported"

    def _start_supervisor(self) -> None:
        self._run("benchmarks.endings.serving", *self._flows)


class Worker(_Supervised):
    """`prefect worker start` of a process work pool, and deployments by entrypoint."""

    _deployment = "worked"
    _work_pool = "endings"
    _flows_file = "benchmarks/endings/flows.py"

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
