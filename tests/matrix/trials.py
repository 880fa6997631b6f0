"""Every place there is, on Prefect servers of their own, and the trials in them."""

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Self

from demo.servers import PrefectServer
from prefect_qsession.emulator import SimulatorPool
from tests.harness.flows import DEVICE
from tests.harness.forks import ForkServer
from tests.harness.places import FlowServe, Place, PlaceName, Script, Serve, Worker
from tests.harness.postgresql import database_where_installed
from tests.matrix.rows import ROWS, Row
from tests.matrix.service import FrozenService
from tests.matrix.trial import Trial, run_trial

SETTINGS = {
    "PREFECT_INTEGRATIONS_QSESSION_BACKEND": DEVICE,
    "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
}
"""What every flow run is told by its environment."""


class Places:
    """
    A Prefect server and every place on it, each started when it is first asked for.

    Args:
        directory: For what they leave.
        resources: Ends what was started.
        **settings: The server's.
    """

    def __init__(self, directory: Path, resources: ExitStack, **settings: str) -> None:
        self._directory = directory
        self._resources = resources
        self.server = PrefectServer(directory / "server", **settings)
        resources.callback(self.server.kill)
        self._places: dict[PlaceName, Place] = {}

    def place(self, name: PlaceName) -> Place:
        """Return a place."""
        if name not in self._places:
            self._places[name] = self._resources.enter_context(self._make(name))
        return self._places[name]

    def _make(self, name: PlaceName) -> Place:
        environment = self.server.environment() | SETTINGS
        directory = self._directory / name.name.lower().replace("_", "-")
        if name is PlaceName.SCRIPT:
            log = self._directory / "fork-server.log"
            fork_server = self._resources.enter_context(ForkServer(environment, log))
            return Script(environment, directory, fork_server)
        kinds: dict[PlaceName, type[FlowServe | Serve | Worker]] = {
            PlaceName.FLOW_SERVE: FlowServe,
            PlaceName.SERVE: Serve,
            PlaceName.WORKER: Worker,
        }
        flows = tuple(dict.fromkeys(row.way.flow for row in ROWS if row.place is name))
        return kinds[name](environment, directory, flows)


class Trials:
    """
    One trial after the other, each in its place.

    Their Prefect server is on PostgreSQL where that is installed. The trials that kill it have
    another one, on SQLite. Leaving the context stops everything.

    Args:
        directory: For what they leave.
        simulators: What computes the circuits; left running.
    """

    def __init__(self, directory: Path, simulators: SimulatorPool) -> None:
        self._directory = directory
        self._simulators = simulators
        self._resources = ExitStack()
        self._count = 0

    def run(self, row: Row) -> Trial:
        """
        Run the trial of a row.

        Raises:
            NotRun: The flow run did not come to its moment.
            FlowRunHangs: It did not come to its end.
        """
        self._count += 1
        places = self._on_a_frail_server if row.kills_server else self._on_a_steady_server
        if not places.server.is_running:
            places.server.start()
        service = FrozenService(row.way.moment, self._simulators)
        directory = self._directory / str(self._count)
        with service.emulator:
            return run_trial(row, service, places.place(row.place), places.server, directory)

    @cached_property
    def _on_a_steady_server(self) -> Places:
        settings = self._resources.enter_context(database_where_installed())
        return Places(self._directory / "steady", self._resources, **settings)

    @cached_property
    def _on_a_frail_server(self) -> Places:
        return Places(self._directory / "frail", self._resources)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._resources.close()
