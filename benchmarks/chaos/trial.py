"""One trial: a flow run is started, ended at its moment, and judged by the service's record."""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.chaos.service import TrialService
from benchmarks.chaos.shared import Shared
from benchmarks.chaos.ways import Draw
from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.exceptions import LedgerUnavailable
from prefect_qsession.release.ledger import PrefectLedger
from tests.harness import steps
from tests.harness.flow_calls import FlowCall
from tests.harness.flow_runs import START_SECONDS, BegunFlowRun, NotRun
from tests.harness.marks import Marks
from tests.harness.places import Place
from tests.harness.processes import is_alive
from tests.harness.waiting import happened, sleep_until

FLOWS = ("iterating", "awaiting")
"""The one, and the other one that is async."""
LOOK_SECONDS = 0.01
OPEN_AT_MOST_SECONDS = 10.0
"""One that takes jobs so long after the end of its flow run, or its opening, is left open."""
UNUSED_SECONDS = 3.0
"""After the death of a flow's process; nobody can send a job into its session any more."""
UNGUARDED_SECONDS = 1.0
"""From a death that no guardian can act on to the reaper."""
REAP_SECONDS = 60.0


class Outcome(StrEnum):
    """What became of a flow run's session."""

    RELEASED = "released"
    NEVER_OPENED = "never opened"
    UNUSED = "unused"
    """Opened, but its flow was dead before the first job: never billed, closed by the service."""
    LEFT_OPEN = "left open"
    REAPED = "reaped"
    """Released by the reaper, where no guardian could act."""
    LEFT_OPEN_AFTER_REAPING = "left open after reaping"


@dataclass(frozen=True)
class Trial:
    """What was drawn, and what became of the flow run's session, by the emulator's record."""

    draw: Draw
    moment: str
    """Where the flow run was in its life when it was ended."""
    outcome: Outcome
    ended_by: str | None
    """How the session ended."""
    seconds: float | None
    """From the end of the flow run, or the opening if later, until it took no more jobs."""
    jobs_left_queued: int
    released_early: bool
    """Whether the session was released before the flow run was ended or stopped by itself."""
    stopped_early: bool
    """Whether the flow run stopped by itself before it was ended."""
    processes_left: tuple[str, ...] = ()
    """Commands of the processes that had to be killed at last."""


def run_trial(
    draw: Draw, service: TrialService, place: Place, shared: Shared, directory: Path
) -> Trial:
    """
    Run one trial, and leave nothing of it running; its record and log stay in the directory.

    Raises:
        NotRun: The flow run did not begin.
    """
    marks = Marks.in_new(directory)
    with temporary_settings({PREFECT_API_URL: shared.server.url}):
        credentials = QiskitRuntimeCredentials.from_environment(service.emulator.environment())
        credentials.save(place.block, overwrite=True)
        place.start(_call(draw, directory))
        if not happened(marks.begun, START_SECONDS):
            raise NotRun("it did not begin")
        run = BegunFlowRun(marks, place, shared.server, service.emulator, draw.life_seconds)
        at = run.mark.began_at + draw.life_seconds - 2 * LOOK_SECONDS
        if not draw.way.has_timeout:
            sleep_until(at)
        try:
            with shared.reaper_lock.ending():
                # With a timeout it ends by itself, which must not be while a reaper looks.
                sleep_until(at)
                trial = _Judge(draw, service, run, shared, directory).end_and_judge()
        finally:
            left = run.clear()
            _forget(run.mark.flow_run_id)
            (directory / "record.json").write_text(service.record())
    return replace(trial, processes_left=left)


def _call(draw: Draw, directory: Path) -> FlowCall:
    parameters = {
        "where": str(directory),
        "shape": draw.way.shape,
        "jobs_in": draw.jobs_in,
        "step_seconds": draw.step_seconds,
    }
    timeout_seconds = draw.life_seconds if draw.way.has_timeout else None
    return FlowCall(FLOWS[draw.is_async], parameters, timeout_seconds=timeout_seconds)


@dataclass(frozen=True)
class _Judge:
    """Ends a flow run that has begun, and tells what becomes of its session."""

    draw: Draw
    service: TrialService
    run: BegunFlowRun
    shared: Shared
    directory: Path

    def end_and_judge(self) -> Trial:
        """End the flow run, and return what became of it."""
        marks, way, service = self.run.marks, self.draw.way, self.service
        stopped_early = marks.stopped_at is not None and not way.has_timeout
        released_early = service.is_released and marks.stopped_at is None
        for step in way.before:
            self._do(step)
        moment = service.moment()
        ended_at, *_ = [self._do(step) for step in way.end]
        if way.has_timeout:
            ended_at = self.run.mark.began_at + self.draw.life_seconds
        if stopped_early or steps.LetGo() in way.end:
            happened(lambda: marks.stopped_at is not None, OPEN_AT_MOST_SECONDS)
            ended_at = marks.stopped_at or ended_at
        outcome = self._guarded(ended_at) if self.draw.is_guarded else self._unguarded(ended_at)
        timed = self.draw.is_guarded and outcome is Outcome.RELEASED
        seconds = time.time() - self._open_since(ended_at) if timed else None
        happened(lambda: not service.jobs_queued, ended_at + OPEN_AT_MOST_SECONDS - time.time())
        ended_by = next((session.ended_by for session in service.sessions), None)
        queued = service.jobs_queued
        return Trial(
            self.draw, moment, outcome, ended_by, seconds, queued, released_early, stopped_early
        )

    def _do(self, step: steps.Step) -> float:
        """Carry out a step, and return when it began; whom it is for may have ended by itself."""
        try:
            return self.run.do(step)
        except NotRun:
            return time.time()

    def _guarded(self, ended_at: float) -> Outcome:
        return self._wait(ended_at, OPEN_AT_MOST_SECONDS) or Outcome.LEFT_OPEN

    def _unguarded(self, ended_at: float) -> Outcome:
        # A session that opened in between may have a guardian all the same.
        if early := self._wait(ended_at, UNGUARDED_SECONDS):
            return early
        log = self.directory / "reaper.log"
        reaper = self.shared.fork_server.reap(self.run.mark.flow_run_id, log)
        happened(lambda: not is_alive(reaper), REAP_SECONDS)
        outcome = self._wait(time.time(), UNUSED_SECONDS + 1) or Outcome.LEFT_OPEN_AFTER_REAPING
        return Outcome.REAPED if outcome is Outcome.RELEASED else outcome

    def _open_since(self, ended_at: float) -> float:
        """Return when the session began to be open for nothing: at the end, or when it opened."""
        return max([ended_at, *(session.created for session in self.service.sessions)])

    def _wait(self, ended_at: float, seconds: float) -> Outcome | None:
        """Return the outcome as soon as it is clear; None if the session is open for so long."""
        service, gone_at = self.service, None
        while time.time() < ended_at + START_SECONDS:
            if service.is_released:
                return Outcome.RELEASED
            if gone_at is None and not self.run.is_alive:
                gone_at = time.time()
            if gone_at is not None and service.is_unused:
                if not service.sessions and time.time() > gone_at + self.draw.opening_seconds:
                    return Outcome.NEVER_OPENED
                if time.time() > gone_at + UNUSED_SECONDS:
                    return Outcome.UNUSED
            elif service.sessions and time.time() > self._open_since(ended_at) + seconds:
                return None
            time.sleep(LOOK_SECONDS)
        return None if service.sessions else Outcome.NEVER_OPENED


def _forget(flow_run_id: UUID) -> None:
    """Take what the ledger still has of a flow run from it: nobody is to reap it later."""
    ledger = PrefectLedger()
    with suppress(LedgerUnavailable):
        for entry in ledger.entries(flow_run_id):
            ledger.forget(entry.session_id)
