"""Where the trials' flow runs run: forks of the nursery, `serve`, and a worker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.harness.forks import Nursery
from benchmarks.chaos.ways import Draw
from benchmarks.endings import places

FLOWS = ("iterating", "awaiting")
"""The one, and the other one that is async."""


class Home(Protocol):
    """A place that runs one flow run at a time."""

    block: str
    """Name of the credentials block that its flow runs use."""

    def start(self, draw: Draw, directory: Path) -> None:
        """Have a flow run start; its marks are in the directory."""
        ...

    @property
    def supervisors(self) -> list[int]:
        """The processes above the flow run's own that a person would know of."""
        ...

    def stop(self) -> None:
        """Kill what was started here and still runs."""
        ...


class Scripts:
    """Plain scripts."""

    supervisors: list[int] = []  # noqa: RUF012 - nothing stands above a script

    def __init__(self, nursery: Nursery, block: str) -> None:
        self.block = block
        self._nursery = nursery
        self._pid: int | None = None

    def start(self, draw: Draw, directory: Path) -> None:
        """Fork a script."""
        self._pid = self._nursery.run(
            flow_name(draw),
            parameters(draw, directory),
            directory / "log",
            {"PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS": self.block},
            draw.life_seconds if draw.way.has_timeout else None,
        )

    def stop(self) -> None:
        """Kill the script that was started last."""
        if self._pid is not None:
            places.kill_group(self._pid)
            self._pid = None


class Deployments:
    """Deployments of the flows, run by a supervisor that is started when there is none."""

    def __init__(self, supervisor: places.Place, block: str) -> None:
        self.block = block
        self._supervisor = supervisor

    def start(self, draw: Draw, directory: Path) -> None:
        """Ask for a run of the flow's deployment."""
        self._supervisor.start(flow_name(draw), "directly", parameters(draw, directory), {})

    @property
    def supervisors(self) -> list[int]:
        """The supervisor, if it runs."""
        process = self._supervisor.process
        return [process.pid] if process is not None and process.poll() is None else []

    def stop(self) -> None:
        """Kill the supervisor."""
        self._supervisor.stop()


class Serve(places.Serve):
    """`serve(...)` of the flows' deployments."""

    def _start_supervisor(self) -> None:
        self._run("benchmarks.chaos.serving", *self._flows)


class Worker(places.Worker):
    """A worker of a process work pool, and the flows' deployments by entrypoint."""

    _work_pool = "chaos"
    _flows_file = "benchmarks/chaos/flows.py"


def flow_name(draw: Draw) -> str:
    """Return the name of its flow."""
    return FLOWS[draw.is_async]


def parameters(draw: Draw, directory: Path) -> Mapping[str, Any]:
    """Return what the flow is told."""
    return {
        "where": str(directory),
        "shape": draw.way.shape,
        "jobs_in": draw.jobs_in,
        "step_seconds": draw.step_seconds,
    }
