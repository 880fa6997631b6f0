"""Several trials at once, in lanes: in each, one after the other."""

import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from benchmarks.chaos.fates import NotRun, Trial
from benchmarks.chaos.homes import FLOWS, Deployments, Home, Scripts, Serve, Worker
from tests.harness.forks import Nursery
from benchmarks.chaos.stage import DEVICE, Stage
from benchmarks.chaos.trial import Surroundings, run_trial
from benchmarks.chaos.truce import Truce
from benchmarks.chaos.ways import SCRIPT, SERVE, WORKER, Draw
from tests.harness.places import PlaceName
from demo.servers import PrefectServer
from prefect_qsession.emulator import SimulatorPool

SUPERVISORS: dict[PlaceName, type[Serve | Worker]] = {SERVE: Serve, WORKER: Worker}

POLICY = {
    "PREFECT_INTEGRATIONS_QSESSION_BACKEND": DEVICE,
    "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
    # The server has enough to write; the logs go to files.
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}
"""What every flow run is told by its environment."""


class Lanes:
    """
    Lanes for scripts, one for `serve` and one for a worker.

    Args:
        server: The Prefect server of all of them.
        nursery: Forks the scripts.
        simulators: What computes the circuits.
        truce: Keeps reapers out while an end is judged.
        directory: For what the trials leave.
        scripts: How many scripts run at once.
    """

    def __init__(
        self,
        server: PrefectServer,
        nursery: Nursery,
        simulators: SimulatorPool,
        truce: Truce,
        directory: Path,
        scripts: int,
    ) -> None:
        self._server = server
        self._nursery = nursery
        self._simulators = simulators
        self._truce = truce
        self._directory = directory
        self._scripts = scripts

    def run(self, draws: Iterable[Draw]) -> Iterator[Trial | NotRun]:
        """Run the trials, and yield each as it ends; those that have not begun can be dropped."""
        trials: list[Future[Trial]] = []
        by_place: dict[PlaceName, list[Draw]] = {}
        for draw in draws:
            by_place.setdefault(draw.place, []).append(draw)
        with ExitStack() as resources:
            for place, waiting in by_place.items():
                idle: SimpleQueue[Home] = SimpleQueue()
                homes = self._homes(place)
                for home in homes:
                    resources.callback(home.stop)
                    idle.put(home)
                lane = ThreadPoolExecutor(len(homes), thread_name_prefix=place.name)
                resources.callback(lane.shutdown, cancel_futures=True)
                trials += [lane.submit(self._run, draw, idle) for draw in waiting]
            for trial in as_completed(trials):
                try:
                    yield trial.result()
                except NotRun as failure:
                    yield failure

    def _run(self, draw: Draw, idle: SimpleQueue[Home]) -> Trial:
        home, directory = idle.get(), self._directory / str(draw.number)
        try:
            stage = Stage(draw, self._simulators)
            around = Surroundings(self._server.url, home, self._nursery, self._truce)
            with stage.emulator:
                return run_trial(draw, stage, around, directory)
        except Exception as error:
            home.stop()
            (directory / "failure").write_text(traceback.format_exc())
            raise NotRun(f"trial {draw.number} went wrong ({error}); see {directory}") from error
        finally:
            idle.put(home)

    def _homes(self, place: PlaceName) -> list[Home]:
        if place is SCRIPT:
            names = (f"chaos-script-{number}" for number in range(1, self._scripts + 1))
            return [Scripts(self._nursery, name) for name in names]
        block = f"chaos-{place.name.lower()}"
        environment = self._server.environment() | POLICY
        environment["PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS"] = block
        log = self._directory / f"{block}.log"
        return [Deployments(SUPERVISORS[place](environment, log, FLOWS), block)]
