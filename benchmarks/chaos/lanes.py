"""Several trials at once, in lanes: in each, one after the other."""

import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from queue import SimpleQueue

from benchmarks.chaos.service import TrialService
from benchmarks.chaos.shared import Shared
from benchmarks.chaos.trial import FLOWS, Trial, run_trial
from benchmarks.chaos.ways import SCRIPT, SERVE, Draw
from tests.harness.flow_runs import NotRun
from tests.harness.flows import DEVICE
from tests.harness.places import Place, PlaceName, Script, Serve, Worker

SETTINGS = {
    "PREFECT_INTEGRATIONS_QSESSION_BACKEND": DEVICE,
    "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
    # The server has enough to write; the logs go to files.
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}
"""What every flow run is told by its environment."""


def run_trials(draws: Iterable[Draw], shared: Shared, scripts: int) -> Iterator[Trial | NotRun]:
    """
    Run the trials, and yield each as it ends; those that have not begun can be dropped.

    So many lanes are for scripts, one is for `serve`, and one for a worker.
    """
    trials: list[Future[Trial]] = []
    by_place: dict[PlaceName, list[Draw]] = {}
    for draw in draws:
        by_place.setdefault(draw.place, []).append(draw)
    with ExitStack() as resources:
        for name, waiting in by_place.items():
            idle: SimpleQueue[Place] = SimpleQueue()
            lanes = scripts if name is SCRIPT else 1
            for number in range(1, lanes + 1):
                idle.put(resources.enter_context(_place(name, number, shared)))
            executor = ThreadPoolExecutor(lanes, thread_name_prefix=name.name)
            resources.callback(executor.shutdown, cancel_futures=True)
            trials += [executor.submit(_run, draw, idle, shared) for draw in waiting]
        for trial in as_completed(trials):
            try:
                yield trial.result()
            except NotRun as failure:
                yield failure


def _run(draw: Draw, idle: SimpleQueue[Place], shared: Shared) -> Trial:
    place, directory = idle.get(), shared.directory / str(draw.number)
    try:
        service = TrialService(draw, shared.simulators)
        with service.emulator:
            return run_trial(draw, service, place, shared, directory)
    except Exception as error:
        place.stop()
        (directory / "failure").write_text(traceback.format_exc())
        raise NotRun(f"trial {draw.number} went wrong ({error}); see {directory}") from error
    finally:
        idle.put(place)


def _place(name: PlaceName, number: int, shared: Shared) -> Place:
    environment = shared.server.environment() | SETTINGS
    directory = shared.directory / f"{name.name.lower()}-{number}"
    if name is SCRIPT:
        return Script(environment, directory, shared.fork_server)
    return (Serve if name is SERVE else Worker)(environment, directory, FLOWS)
