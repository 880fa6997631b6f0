"""One trial: a flow run is started, ended at its moment, and judged by the service's record."""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from benchmarks.chaos.fates import Fate, NotRun, Trial
from benchmarks.chaos.homes import Home
from benchmarks.chaos.marks import Marks
from benchmarks.chaos.nursery import Nursery
from benchmarks.chaos.stage import Stage
from benchmarks.chaos.truce import Truce
from benchmarks.chaos.ways import Draw
from benchmarks.endings import steps
from benchmarks.endings.marks import Mark
from benchmarks.endings.processes import command_line, descendants
from benchmarks.endings.waiting import wait_until
from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.exceptions import LedgerUnavailable
from prefect_qsession.release.ledger import Ledger
from prefect_qsession.release.processes import identity_of, liveness
from prefect_qsession.release.records import Liveness, ProcessIdentity

LOOK_SECONDS = 0.01
START_SECONDS = 120.0
OPEN_AT_MOST_SECONDS = 10.0
"""One that takes jobs so long after the end of its flow run, or its opening, is left open."""
UNUSED_SECONDS = 3.0
"""After the death of a flow's process; nobody can send a job into its session any more."""
UNGUARDED_SECONDS = 1.0
"""From a death that no guardian can act on to the reaper."""
REAP_SECONDS = 60.0
LAST_SECONDS = 15.0
"""What the flow's process and those it started have to end by themselves, after all is judged."""
GUARDIAN = "guardian"
"""In the guardian's command line."""


@dataclass(frozen=True)
class Surroundings:
    """What the trials of one lane share."""

    api_url: str
    home: Home
    nursery: Nursery
    truce: Truce


def run_trial(draw: Draw, stage: Stage, around: Surroundings, directory: Path) -> Trial:
    """
    Run one trial, and leave nothing of it running; its record and log stay in the directory.

    Raises:
        NotRun: The flow run did not begin.
    """
    marks = Marks.in_new(directory)
    with temporary_settings({PREFECT_API_URL: around.api_url}):
        credentials = QiskitRuntimeCredentials.from_environment(stage.emulator.environment())
        credentials.save(around.home.block, overwrite=True)
        around.home.start(draw, directory)
        if not wait_until(lambda: bool(marks.begun()), START_SECONDS):
            raise NotRun("it did not begin")
        run = _Run(draw, stage, around, marks, directory)
        try:
            trial = run.end_and_judge()
        finally:
            left = run.clear()
            (directory / "record.json").write_text(_record(stage))
    return Trial(**{**trial, "processes_left": left})  # type: ignore[arg-type]


class _Run:
    """A flow run that has begun."""

    def __init__(
        self, draw: Draw, stage: Stage, around: Surroundings, marks: Marks, directory: Path
    ) -> None:
        self._draw = draw
        self._stage = stage
        self._around = around
        self._marks = marks
        self._directory = directory
        self._mark: Mark = marks.begun()[0]
        self._flow = identity_of(self._mark.pid)
        self._started: set[ProcessIdentity] = set()

    # -- the end

    def end_and_judge(self) -> dict[str, object]:
        """Wait for the moment, end the flow run, and return what became of it."""
        draw, stage = self._draw, self._stage
        at = self._mark.began_at + draw.life_seconds
        if not draw.way.has_timeout:
            self._sleep_until(at)
        with self._around.truce.ending():
            if draw.way.has_timeout:
                # It ends by itself, which must not be while a reaper looks.
                self._sleep_until(at)
            self._note_processes()
            stopped_early = self._marks.stopped_at is not None and not draw.way.has_timeout
            released_early = stage.is_released and self._marks.stopped_at is None
            for step in draw.way.before:
                self._do(step)
            self._note_processes()
            moment = stage.moment()
            ended_at = time.time()
            for step in draw.way.end:
                self._do(step)
            if draw.way.has_timeout:
                ended_at = at
            if stopped_early or steps.LetGo() in draw.way.end:
                wait_until(lambda: self._marks.stopped_at is not None, OPEN_AT_MOST_SECONDS)
                ended_at = self._marks.stopped_at or ended_at
            fate, seconds = self._judge(ended_at)
            wait_until(lambda: not stage.jobs_queued, ended_at + OPEN_AT_MOST_SECONDS - time.time())
        return {
            "draw": draw,
            "moment": moment,
            "fate": fate,
            "ended_by": next((session.ended_by for session in stage.sessions), None),
            "seconds": seconds,
            "jobs_left_queued": stage.jobs_queued,
            "released_early": released_early,
            "stopped_early": stopped_early,
        }

    def _sleep_until(self, at: float) -> None:
        time.sleep(max(0.0, at - time.time() - 2 * LOOK_SECONDS))

    def _do(self, step: steps.Step) -> None:
        match step:
            case steps.Send(number, target):
                self._send(number, target)
            case steps.LetGo():
                self._marks.let_go()
            case steps.RunOut():
                pass
            case steps.CancelRun():
                client = SyncPrefectClient(self._around.api_url)
                client.set_flow_run_state(self._mark.flow_run_id, Cancelling())
            case steps.Wait(seconds):
                time.sleep(seconds)
            case steps.Break(how):
                self._stage.break_releases(how)
            case _:
                raise ValueError(step)

    def _send(self, number: int, target: steps.Target) -> None:
        flow = [self._mark.pid] if liveness(self._flow) is Liveness.ALIVE else []
        above = self._around.home.supervisors
        # The upper one first: it would notice the death of the other.
        both = [*above, *flow]
        if target is steps.Target.GROUP:
            for group in {os.getpgid(pid) for pid in both}:
                os.killpg(group, number)
            return
        for pid in {
            steps.Target.FLOW: flow,
            steps.Target.SUPERVISOR: above,
            steps.Target.BOTH: both,
            steps.Target.GUARDIAN: self._guardians(),
        }[target]:
            # It may end by itself at this moment.
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _guardians(self) -> list[int]:
        return [pid for pid in descendants(self._mark.pid) if GUARDIAN in command_line(pid)]

    # -- what became of it

    def _judge(self, ended_at: float) -> tuple[Fate, float | None]:
        """Wait until it is clear, and return it with the seconds until the release."""
        if not self._draw.is_guarded:
            return self._judge_unguarded(ended_at)
        fate = self._wait_for_fate(ended_at, OPEN_AT_MOST_SECONDS) or Fate.LEFT_OPEN
        return fate, time.time() - self._open_since(ended_at) if fate is Fate.RELEASED else None

    def _judge_unguarded(self, ended_at: float) -> tuple[Fate, float | None]:
        # A session that opened in between may have a guardian all the same.
        if fate := self._wait_for_fate(ended_at, UNGUARDED_SECONDS):
            return fate, None
        reaper = identity_of(
            self._around.nursery.reap(self._mark.flow_run_id, self._directory / "reaper.log")
        )
        wait_until(lambda: liveness(reaper) is not Liveness.ALIVE, REAP_SECONDS)
        fate = self._wait_for_fate(time.time(), UNUSED_SECONDS + 1) or Fate.LEFT_OPEN_AFTER_REAPING
        return Fate.REAPED if fate is Fate.RELEASED else fate, None

    def _open_since(self, ended_at: float) -> float:
        """Return when the session began to be open for nothing: at the end, or when it opened."""
        return max([ended_at, *(session.created for session in self._stage.sessions)])

    def _wait_for_fate(self, ended_at: float, seconds: float) -> Fate | None:
        """Return the fate as soon as it is clear; None if the session is open for so long."""
        gone_at: float | None = None
        while time.time() < ended_at + START_SECONDS:
            if self._stage.is_released:
                return Fate.RELEASED
            if gone_at is None and liveness(self._flow) is not Liveness.ALIVE:
                gone_at = time.time()
            if gone_at is not None and self._stage.is_unused:
                if not self._stage.sessions and time.time() > gone_at + self._draw.opening_seconds:
                    return Fate.NEVER_OPENED
                if time.time() > gone_at + UNUSED_SECONDS:
                    return Fate.UNUSED
            elif self._stage.sessions and time.time() > self._open_since(ended_at) + seconds:
                return None
            time.sleep(LOOK_SECONDS)
        return None if self._stage.sessions else Fate.NEVER_OPENED

    # -- afterwards

    def _note_processes(self) -> None:
        for pid in descendants(self._mark.pid):
            with suppress(ProcessLookupError):
                self._started.add(identity_of(pid))

    def clear(self) -> tuple[str, ...]:
        """End what is left of the flow run; return the commands of what did not end by itself."""
        self._marks.let_go()
        if set(self._around.home.supervisors) and steps.Target.SUPERVISOR in self._targets():
            self._around.home.stop()
        ours = {self._flow, *self._started}

        def left() -> list[ProcessIdentity]:
            return [one for one in ours if liveness(one) is Liveness.ALIVE]

        wait_until(lambda: not left(), LAST_SECONDS)
        commands = tuple(command_line(one.pid) for one in left())
        for one in left():
            with suppress(ProcessLookupError):
                os.kill(one.pid, SIGKILL)
        ledger = Ledger()
        with suppress(LedgerUnavailable):
            for entry in ledger.entries(self._mark.flow_run_id):
                ledger.forget(entry.session_id)
        return commands

    def _targets(self) -> set[steps.Target]:
        """Return what was signalled besides the flow; its supervisor by whichever name."""
        above = {steps.Target.SUPERVISOR, steps.Target.BOTH, steps.Target.GROUP}
        sent = (*self._draw.way.before, *self._draw.way.end)
        hit = {step.target for step in sent if isinstance(step, steps.Send)}
        return {steps.Target.SUPERVISOR} if hit & above else set()


def _record(stage: Stage) -> str:
    sessions = [session.as_dict() for session in stage.sessions]
    return json.dumps(
        {"sessions": sessions, "jobs": [job.as_dict() for job in stage.emulator.jobs]}
    )
