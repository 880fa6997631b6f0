"""One trial: a flow run is started, ended at its moment, and judged by the service's record."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.chaos.outcomes import Outcome, Trial
from benchmarks.chaos.service import TrialService
from benchmarks.chaos.shared import Shared
from benchmarks.chaos.ways import Draw
from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.adapters.ledger import Ledger
from prefect_qsession.exceptions import LedgerUnavailable
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

        def reap() -> None:
            reaper = shared.fork_server.reap(run.mark.flow_run_id, directory / "reaper.log")
            happened(lambda: not is_alive(reaper), REAP_SECONDS)

        at = run.mark.began_at + draw.life_seconds - 2 * LOOK_SECONDS
        if not draw.way.has_timeout:
            sleep_until(at)
        try:
            with shared.reaper_lock.ending():
                # With a timeout it ends by itself, which must not be while a reaper looks.
                sleep_until(at)
                trial = _end_and_judge(draw, service, run, reap)
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


def _end_and_judge(
    draw: Draw, service: TrialService, run: BegunFlowRun, reap: Callable[[], None]
) -> Trial:
    """End the flow run, and return what became of it."""
    marks, way = run.marks, draw.way
    stopped_early = marks.stopped_at is not None and not way.has_timeout
    released_early = service.is_released and marks.stopped_at is None
    for step in way.before:
        _do(run, step)
    moment = service.moment()
    ended_at, *_ = [_do(run, step) for step in way.end]
    if way.has_timeout:
        ended_at = run.mark.began_at + draw.life_seconds
    if stopped_early or steps.LetGo() in way.end:
        happened(lambda: marks.stopped_at is not None, OPEN_AT_MOST_SECONDS)
        ended_at = marks.stopped_at or ended_at
    outcome, seconds = _judge(draw, service, run, ended_at, reap)
    happened(lambda: not service.jobs_queued, ended_at + OPEN_AT_MOST_SECONDS - time.time())
    return Trial(
        draw=draw,
        moment=moment,
        outcome=outcome,
        ended_by=next((session.ended_by for session in service.sessions), None),
        seconds=seconds,
        jobs_left_queued=service.jobs_queued,
        released_early=released_early,
        stopped_early=stopped_early,
    )


def _do(run: BegunFlowRun, step: steps.Step) -> float:
    """Carry out a step, and return when it began; whom it is for may have ended by itself."""
    try:
        return run.do(step)
    except NotRun:
        return time.time()


# -- what became of the session


def _judge(
    draw: Draw,
    service: TrialService,
    run: BegunFlowRun,
    ended_at: float,
    reap: Callable[[], None],
) -> tuple[Outcome, float | None]:
    """Wait until it is clear, and return it with the seconds until the release."""
    if draw.is_guarded:
        outcome = _wait(draw, service, run, ended_at, OPEN_AT_MOST_SECONDS) or Outcome.LEFT_OPEN
        seconds = time.time() - _open_since(service, ended_at)
        return outcome, seconds if outcome is Outcome.RELEASED else None
    # A session that opened in between may have a guardian all the same.
    if early := _wait(draw, service, run, ended_at, UNGUARDED_SECONDS):
        return early, None
    reap()
    outcome = (
        _wait(draw, service, run, time.time(), UNUSED_SECONDS + 1)
        or Outcome.LEFT_OPEN_AFTER_REAPING
    )
    return Outcome.REAPED if outcome is Outcome.RELEASED else outcome, None


def _open_since(service: TrialService, ended_at: float) -> float:
    """Return when the session began to be open for nothing: at the end, or when it opened."""
    return max([ended_at, *(session.created for session in service.sessions)])


def _wait(
    draw: Draw, service: TrialService, run: BegunFlowRun, ended_at: float, seconds: float
) -> Outcome | None:
    """Return the outcome as soon as it is clear; None if the session is open for so long."""
    gone_at: float | None = None
    while time.time() < ended_at + START_SECONDS:
        if service.is_released:
            return Outcome.RELEASED
        if gone_at is None and not run.is_alive:
            gone_at = time.time()
        if gone_at is not None and service.is_unused:
            if not service.sessions and time.time() > gone_at + draw.opening_seconds:
                return Outcome.NEVER_OPENED
            if time.time() > gone_at + UNUSED_SECONDS:
                return Outcome.UNUSED
        elif service.sessions and time.time() > _open_since(service, ended_at) + seconds:
            return None
        time.sleep(LOOK_SECONDS)
    return None if service.sessions else Outcome.NEVER_OPENED


def _forget(flow_run_id: UUID) -> None:
    """Take what the ledger still has of a flow run from it: nobody is to reap it later."""
    ledger = Ledger()
    with suppress(LedgerUnavailable):
        for entry in ledger.entries(flow_run_id):
            ledger.forget(entry.session_id)
