"""
The service as it runs: the rules, the clock and the simulators together.

One caller at a time is let at the rules, which have first been brought up to the present; what
the call started is handed to the simulators after the decision is made.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

from prefect_qsession.emulator.computing.pool import SimulatorPool
from prefect_qsession.emulator.rules.service import Service
from prefect_qsession.emulator.rules.simulation import Outcome
from prefect_qsession.emulator.rules.states import JobState
from prefect_qsession.emulator.rules.workloads import Job
from prefect_qsession.emulator.running.clock import Clock, HandClock

logger = logging.getLogger(__name__)


class RunningService:
    """
    Makes things happen when they are due.

    On a running clock a thread wakes for what is due, so that jobs start while nobody asks. On a
    hand clock, moving the clock does it; it may be told to skip the times for which jobs only wait.
    """

    def __init__(self, service: Service, clock: Clock, simulators: SimulatorPool) -> None:
        self.clock = clock
        self._service = service
        self._simulators = simulators
        self._changed = threading.Condition(threading.RLock())
        self._computing: dict[str, Job] = {}
        self._stopping = False
        self._announced: float | None = None
        self._timekeeper: threading.Thread | None = None

    def start(self) -> None:
        """Let happen from now on what happens by itself."""
        self._service.begin(self.clock.now())
        if isinstance(self.clock, HandClock):
            self.clock.attach(self._advance)
            return
        self._timekeeper = threading.Thread(
            target=self._keep_time, name="emulator-timekeeper", daemon=True
        )
        self._timekeeper.start()

    def stop(self) -> None:
        """Let nothing more happen by itself."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if isinstance(self.clock, HandClock):
            self.clock.attach(None)
        if self._timekeeper is not None:
            self._timekeeper.join()

    @contextmanager
    def up_to_date(self) -> Iterator[tuple[Service, float]]:
        """Yield the service, up to date and undisturbed, and the present time."""
        with self._changed:
            now = self.clock.now()
            self._service.timers.run_until(now)
            try:
                yield self._service, now
            finally:
                self._service.timers.run_until(now)
                self._hand_over()
                self._skip_waits()
                # Waking a thread costs more than a status request: only for another time.
                if self._service.timers.next_due() != self._announced:
                    self._changed.notify_all()

    def call_at(self, at: float, happen: Callable[[], None]) -> None:
        """Have *happen* called when *at* is reached on the service's clock, if it ever is."""
        with self.up_to_date() as (service, _):
            service.timers.schedule(at, lambda _: happen())

    def _hand_over(self) -> None:
        for job in self._service.take_started():
            self._computing[job.id] = job
            try:
                future = self._simulators.submit(self._service.simulation_task(job))
            except Exception:
                logger.exception("job %s cannot be computed", job.id)
                future = Future()
                future.set_result(Outcome.internal_error())
            future.add_done_callback(partial(self._computed, job))

    def _computed(self, job: Job, future: "Future[Outcome]") -> None:
        with self._changed:
            del self._computing[job.id]
            if self._stopping:
                return
            now = self.clock.now()
            try:
                self._service.timers.run_until(now)
                self._take_outcome(job, future, now)
                self._service.timers.run_until(now)
                self._hand_over()
                self._skip_waits()
            except Exception:
                # Whoever computes hears of nothing that is raised here, nor does anybody else.
                logger.exception("what followed job %s went wrong", job.id)
            finally:
                self._changed.notify_all()

    def _take_outcome(self, job: Job, future: "Future[Outcome]", now: float) -> None:
        """Have the job be over with what was computed; if that is no outcome, failed."""
        try:
            outcome = future.result()
            if not isinstance(outcome, Outcome):
                raise TypeError(f"{type(outcome).__name__} is no outcome")  # noqa: TRY301 - as any
            self._service.computed(job, outcome, now)
        except Exception:
            logger.exception("the outcome of job %s is unusable", job.id)
            self._service.computed(job, Outcome.internal_error(), now)

    def _keep_time(self) -> None:
        with self._changed:
            while not self._stopping:
                self._service.timers.run_until(self.clock.now())
                self._hand_over()
                due = self._announced = self._service.timers.next_due()
                self._changed.wait(None if due is None else self.clock.real_seconds_until(due))

    def _advance(self, target: float) -> None:
        """
        Make everything due up to *target* happen, each at its own time.

        How long a running job holds the QPU is known when it is computed, so that no time passes
        while a running job's computation is under way.
        """
        clock = self.clock
        if not isinstance(clock, HandClock):
            return
        with self._changed:
            while not self._stopping:
                self._hand_over()
                if self._awaits_simulation():
                    self._changed.wait()
                    continue
                due = self._service.timers.next_due()
                if due is None or due > target:
                    clock.move_to(target)
                    return
                clock.move_to(due)
                self._service.timers.run_until(due)

    def _skip_waits(self) -> None:
        clock = self.clock
        if not self._service.settings.skip_waits or not isinstance(clock, HandClock):
            return
        while self._service.has_waits() and not self._awaits_simulation():
            due = self._service.timers.next_due()
            if due is None:
                return
            clock.move_to(due)
            self._service.timers.run_until(clock.now())
            self._hand_over()

    def _awaits_simulation(self) -> bool:
        return any(job.state is JobState.RUNNING for job in self._computing.values())
