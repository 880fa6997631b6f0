"""
The simulator processes, and the threads that talk to them.

Simulation has processes of its own: a crash, a memory limit or a computation that never ends costs
one job, and the service answers on. Processes are started as programs and spoken to through pipes:
no fork of a threaded process, no import of the caller's main module, nothing pickled.
"""

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Self

from prefect_qsession.emulator.computing.messages import receive_outcome, send_task
from prefect_qsession.emulator.rules.simulation import Outcome, SimulationTask

_PACKAGE_HOME = Path(__file__).absolute().parents[3]
_SECRETS = ("QISKIT_IBM_TOKEN",)

logger = logging.getLogger(__name__)


class SimulatorPool:
    """
    One or more simulator processes that compute jobs, in the order they come.

    A context manager, or closed by `close`. Several emulators may share one. Every future gets a
    result: a task whose process is lost, or that takes more than *limit_seconds* of real time,
    counts as the service's internal error.
    """

    def __init__(self, processes: int = 1, *, limit_seconds: float = 300.0) -> None:
        if processes < 1:
            msg = f"a pool needs at least one process, not {processes}"
            raise ValueError(msg)
        self._limit_seconds = limit_seconds
        self._tasks: queue.SimpleQueue[tuple[SimulationTask, Future[Outcome]] | None] = (
            queue.SimpleQueue()
        )
        self._count = processes
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._closed = False

    def start(self) -> None:
        """Start the processes, so that the first job finds them ready. Safe to repeat."""
        with self._lock:
            if self._closed or self._workers:
                return
            self._workers = [_Worker(self._tasks, self._limit_seconds) for _ in range(self._count)]

    def submit(self, task: SimulationTask) -> "Future[Outcome]":
        """Have a task computed; start the processes if need be."""
        self.start()
        future: Future[Outcome] = Future()
        with self._lock:
            if self._closed:
                future.set_result(Outcome.internal_error())
            else:
                self._tasks.put((task, future))
        return future

    def process_ids(self) -> list[int]:
        """Return the ids of the processes that run now."""
        return [worker.process.pid for worker in self._workers if worker.process is not None]

    def close(self) -> None:
        """End the processes, whatever they are doing. Safe to repeat."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for worker in self._workers:
            worker.stop()
        while not self._tasks.empty():
            if (left := self._tasks.get()) is not None:
                left[1].set_result(Outcome.internal_error())

    def __enter__(self) -> Self:
        """Start the processes."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.close()


class _Worker:
    """A thread with a simulator process, which it replaces when it is lost."""

    def __init__(
        self,
        tasks: "queue.SimpleQueue[tuple[SimulationTask, Future[Outcome]] | None]",
        limit_seconds: float,
    ) -> None:
        self._tasks = tasks
        self._limit_seconds = limit_seconds
        self._stopping = False
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, name="simulator-pool", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            if self.process is not None:
                self.process.kill()
        self._tasks.put(None)
        self._thread.join()

    def _work(self) -> None:
        self._launch()
        while (item := self._tasks.get()) is not None:
            task, future = item
            try:
                outcome = self._compute(task)
            except Exception:
                # The process died of the task, was killed for it, or answered nonsense: replace
                # it. Whatever it was, this thread has to be there for the next task.
                logger.warning("a simulator process is replaced", exc_info=True)
                self._discard()
                outcome = Outcome.internal_error()
                self._launch()
            future.set_result(outcome)
        self._discard()

    def _compute(self, task: SimulationTask) -> Outcome:
        process = self.process
        if process is None or process.stdin is None or process.stdout is None:
            return Outcome.internal_error()
        watchdog = threading.Timer(self._limit_seconds, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            send_task(task, process.stdin)
            return receive_outcome(process.stdout)
        finally:
            watchdog.cancel()

    def _launch(self) -> None:
        with self._lock:
            if self._stopping:
                return
            # The real executable: pipes as stdin and stdout, and a process group of its own, so
            # that the terminal's Ctrl-C is the service's to answer.
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "prefect_qsession.emulator.computing.simulator"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment(),
                start_new_session=True,
            )

    def _discard(self) -> None:
        process = self.process
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait()
        self.process = None


def _environment() -> dict[str, str]:
    """Return a simulator's environment: the package found, one thread, no secrets."""
    environment = {k: v for k, v in os.environ.items() if k not in _SECRETS}
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_PACKAGE_HOME), inherited)))
    # Circuits of a few qubits gain nothing from threads, and two of them cost their start.
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment["PYTHONWARNINGS"] = "ignore"
    return environment
