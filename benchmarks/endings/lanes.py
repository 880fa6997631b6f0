"""
Many trials, two at once.

A lane is one place on one Prefect server, in which one trial follows the other; scripts have two.
"""

import tempfile
from collections import defaultdict, deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, cycle
from pathlib import Path
from threading import Condition
from typing import Self

from httpx import HTTPError

from benchmarks._postgresql import database_where_installed
from benchmarks.endings.matrix import ROWS, Row
from benchmarks.endings.places import FlowServe, Place, PlaceName, Script, Serve, Worker
from benchmarks.endings.servers import PrefectServer
from benchmarks.endings.stage import Stage
from benchmarks.endings.steps import KillServer
from benchmarks.endings.trial import Trial, TrialFailed, run_trial
from prefect_qsession.emulator import SimulatorPool

AT_ONCE = 2
"""A flow's process computes for some seconds before it has imported Prefect and Qiskit."""

_SCRIPT_LANES = tuple(f"script-{number}" for number in range(AT_ONCE))
_NAMES = {
    PlaceName.FLOW_SERVE: "flow-serve",
    PlaceName.SERVE: "serve",
    PlaceName.WORKER: "worker",
}
_WITHOUT_SERVER = "without-server"


class Lane:
    """One place on one Prefect server, used by one trial at a time."""

    def __init__(
        self, name: PlaceName, server: PrefectServer, simulators: SimulatorPool, directory: Path
    ) -> None:
        directory.mkdir()
        self._server = server
        self._simulators = simulators
        self._directory = directory
        self._block = f"endings-{directory.name}"
        self._trials = 0
        self._place = self._make_place(name)

    def run(self, row: Row) -> Trial:
        """
        Run a trial; once more, if it came to nothing or was late.

        One that left a session open is never tried again.
        """
        try:
            trial = self._run(row)
        except (TrialFailed, HTTPError):
            # It was the Prefect server that did not answer in time; see `Lanes`.
            return self._run(row)
        if not row.is_late(trial.seconds):
            return trial
        # A machine that runs two trials at once stands still now and then, for seconds. What is
        # late for another reason is late again.
        return replace(self._run(row), late_seconds=trial.seconds)

    def _run(self, row: Row) -> Trial:
        self._trials += 1
        directory = self._directory / str(self._trials)
        if not self._server.is_running:
            self._server.start()
        stage = Stage(row.way.moment, self._simulators)
        with stage.emulator:
            return run_trial(row, stage, self._place, self._server, self._block, directory)

    def close(self) -> None:
        """Stop what was started."""
        self._place.stop()

    def _make_place(self, name: PlaceName) -> Place:
        environment = self._server.environment() | {
            "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS": self._block,
            "PREFECT_INTEGRATIONS_QSESSION_BACKEND": "ibm_manila",
            "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
        }
        log = self._directory / "log"
        flows = tuple(dict.fromkeys(row.way.flow for row in ROWS if row.place == name))
        match name:
            case PlaceName.SCRIPT:
                return Script(environment, log)
            case PlaceName.FLOW_SERVE:
                return FlowServe(environment, log, flows)
            case PlaceName.SERVE:
                return Serve(environment, log, flows)
            case PlaceName.WORKER:
                return Worker(environment, log, flows)


class Lanes:
    """
    Every place there is, on one Prefect server, and another server for the trials that kill it.

    The first is on PostgreSQL where that is installed, the other on SQLite.

    Leaving the context drops the trials that have not begun, and stops everything.
    """

    def __init__(self) -> None:
        self._resources = ExitStack()
        self._lanes: dict[str, Lane] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="trial")
        self._waiting: defaultdict[str, deque[tuple[Row, Future[Trial]]]] = defaultdict(deque)
        self._in_use: set[str] = set()
        self._changed = Condition()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            home = tempfile.TemporaryDirectory(prefix="qsession-", ignore_cleanup_errors=True)
            self._directory = Path(resources.enter_context(home))
            self._simulators = resources.enter_context(SimulatorPool())
            settings = resources.enter_context(database_where_installed())
            server = PrefectServer(self._directory / "server", **settings)
            self._server = resources.enter_context(server)
            self._frail_server = PrefectServer(self._directory / "frail-server")
            resources.callback(self._frail_server.kill)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        with self._resources:
            with self._changed:
                for _, trial in chain.from_iterable(self._waiting.values()):
                    trial.cancel()
                self._waiting.clear()
                self._changed.notify_all()
            self._threads.shutdown()
            for lane in self._lanes.values():
                # Every one of them, whatever another meets.
                self._resources.callback(lane.close)

    def start(self, rows: Iterable[Row]) -> "dict[Row, Future[Trial]]":
        """Have all the trials run; return at once."""
        scripts = cycle(_SCRIPT_LANES)
        trials: dict[Row, Future[Trial]] = {}
        # A process of flow.serve() serves one flow: all its trials in a row.
        for row in sorted(rows, key=lambda row: row.way.flow):
            if any(isinstance(step, KillServer) for step in row.way.before):
                name = _WITHOUT_SERVER
            else:
                name = next(scripts) if row.place is PlaceName.SCRIPT else _NAMES[row.place]
            trials[row] = Future()
            self._waiting[name].append((row, trials[row]))
        for _ in range(AT_ONCE):
            self._threads.submit(self._work)
        return trials

    def _work(self) -> None:
        """Run one trial after the other, until none waits."""
        while taken := self._take():
            name, row, trial = taken
            try:
                trial.set_result(self._run(row, name))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the trial shall have it
                trial.set_exception(error)
            finally:
                with self._changed:
                    self._in_use.remove(name)
                    self._changed.notify_all()

    def _take(self) -> "tuple[str, Row, Future[Trial]] | None":
        """Take the next trial of the lane that most trials wait for, when one can be used."""
        with self._changed:
            while any(self._waiting.values()):
                usable = [
                    name
                    for name, trials in self._waiting.items()
                    if trials and name not in self._in_use
                ]
                if usable:
                    name = max(usable, key=lambda name: len(self._waiting[name]))
                    self._in_use.add(name)
                    return name, *self._waiting[name].popleft()
                self._changed.wait()
        return None

    def _run(self, row: Row, name: str) -> Trial:
        server = self._server
        if name == _WITHOUT_SERVER:
            # One after the other, in whatever place: they share the server that is killed.
            server, name = self._frail_server, f"{name}-{row.place.name.lower()}"
        if name not in self._lanes:
            directory = self._directory / name
            self._lanes[name] = Lane(row.place, server, self._simulators, directory)
        return self._lanes[name].run(row)
