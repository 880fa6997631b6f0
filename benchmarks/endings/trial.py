"""One trial: start a flow run, wait for the moment, end it, and read what the emulator saw."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from benchmarks.endings import steps
from benchmarks.endings.flows import TIMEOUT_SECONDS
from benchmarks.endings.marks import Mark, Marks
from benchmarks.endings.matrix import Row
from benchmarks.endings.places import Place
from benchmarks.endings.processes import command_line, descendants, is_alive
from benchmarks.endings.servers import ROOT, PrefectServer
from benchmarks.endings.stage import Stage
from benchmarks.endings.waiting import wait_until
from benchmarks.endings.ways import UNUSED
from prefect_qsession import QiskitRuntimeCredentials

START_SECONDS = 90.0
"""From the start of a flow run to its moment; a busy machine takes its time."""
LATE_SECONDS = 60.0
"""Beyond what is promised: a session that is released by then is late, and not left open."""
LAST_SECONDS = 10.0
"""What the flow's process and those it started have to end by themselves, after all is judged."""
GUARDIAN = "guardian"
"""In the guardian's command line."""


class TrialFailed(Exception):
    """The flow run could not be brought to the moment, so nothing was measured."""


class FlowRunHangs(Exception):
    """The flow's process should have ended, and did not."""


@dataclass(frozen=True)
class Trial:
    """What became of one flow run's sessions, by the emulator's record."""

    way: str
    place: str
    outcomes: tuple[str, ...]
    """How each session ended, sorted: "left open" if it did not in time."""
    seconds: float | None
    """
    From the end of the flow run until no session took jobs, or from when the service was well
    again; None if none was ever used.
    """
    jobs_left_queued: int
    processes_left: tuple[str, ...]
    """Commands of the processes that outlived the flow's process, which had started them."""
    late_seconds: float | None = None
    """What a first try took, if that was late; this is the second one."""


class Run:
    """A flow run that is about to be ended, and everything that can be done to it."""

    def __init__(
        self,
        marks: Marks,
        stage: Stage,
        place: Place,
        server: PrefectServer,
        environment: Mapping[str, str],
    ) -> None:
        self.stage = stage
        self.marks = marks
        self._place = place
        self._server = server
        self._environment = environment
        self.supervisor_signalled = False
        """Whether the process above the flow's was sent a signal, from which it may yet die."""

    @property
    def first(self) -> Mark:
        """The first flow run of the trial, which is the one that is ended."""
        return self.marks.begun()[0]

    def do(self, step: steps.Step) -> None:  # noqa: C901 - a table, written as a match
        """Carry out one step."""
        match step:
            case steps.Send(number, target):
                self._send(number, target)
            case steps.LetGo():
                self.marks.let_go()
            case steps.RunOut():
                time.sleep(max(0.0, self.first.began_at + TIMEOUT_SECONDS - time.time()))
            case steps.CancelRun(by_cli=True):
                self._run_python("-m", "prefect", "flow-run", "cancel", str(self.first.flow_run_id))
            case steps.CancelRun():
                self._client().set_flow_run_state(self.first.flow_run_id, Cancelling())
            case steps.Resume():
                self._resume()
            case steps.KillServer():
                self._server.kill()
            case steps.Wait(seconds):
                time.sleep(seconds)
            case steps.WaitForDeath():
                self._wait_for_death()
            case steps.Mend():
                self.stage.mend()
            case steps.Break(how):
                self.stage.break_releases(how)
            case steps.Reap():
                reap = "from prefect_qsession.reaper import reap_sessions; reap_sessions()"
                self._run_python("-c", reap)

    def _send(self, number: int, target: steps.Target) -> None:
        flow, supervisor = self.first.pid, self._place.process
        above = [supervisor.pid] if supervisor and self._place.supervises else []
        if target in (steps.Target.SUPERVISOR, steps.Target.BOTH, steps.Target.GROUP):
            self.supervisor_signalled = True
        if target is steps.Target.GROUP:
            for group in {os.getpgid(pid) for pid in (*above, flow)}:
                os.killpg(group, number)
            return
        aims = {
            steps.Target.FLOW: [flow],
            steps.Target.SUPERVISOR: above,
            # The upper one first: it would notice the death of the other.
            steps.Target.BOTH: [*above, flow],
            steps.Target.GUARDIAN: [
                pid for pid in descendants(flow) if GUARDIAN in command_line(pid)
            ],
        }[target]
        if not aims:
            raise TrialFailed(f"there is no process to signal: {target}")
        for pid in aims:
            os.kill(pid, number)

    def _wait_for_death(self) -> None:
        if not wait_until(lambda: not is_alive(self.first.pid), START_SECONDS):
            raise FlowRunHangs(f"process {self.first.pid} did not end")

    def _resume(self) -> None:
        client, flow_run_id = self._client(), self.first.flow_run_id

        def is_waiting() -> bool:
            state = client.read_flow_run(flow_run_id).state
            return state is not None and state.is_paused()

        if not wait_until(is_waiting, START_SECONDS):
            raise TrialFailed("it did not pause")
        client.resume_flow_run(flow_run_id)

    def _client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self._server.url)

    def _run_python(self, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        subprocess.run(
            command, cwd=ROOT, env=dict(self._environment), check=True, capture_output=True
        )


def run_trial(
    row: Row, stage: Stage, place: Place, server: PrefectServer, block: str, directory: Path
) -> Trial:
    """
    Run one trial on an idle place, and leave the place idle.

    The credentials block of that name is overwritten with the stage's.

    Raises:
        TrialFailed: The flow run did not come to its moment.
        FlowRunHangs: It did not come to its end.
    """
    way = row.way
    marks = Marks.in_new(directory)
    with temporary_settings({PREFECT_API_URL: server.url}):
        credentials = QiskitRuntimeCredentials.from_environment(stage.emulator.environment())
        if not wait_until(lambda: _is_saved(credentials, block), START_SECONDS):
            raise TrialFailed("the credentials block could not be saved")
    environment = server.environment() | {"PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS": block}
    run = Run(marks, stage, place, server, environment)
    started: set[int] = set()
    try:
        parameters = {"where": str(directory), **way.parameters}
        place.start(way.flow, way.call, parameters, way.environment)
        if not wait_until(lambda: stage.has_come(way, marks), START_SECONDS):
            raise TrialFailed(f"{row.name}: its moment did not come; see {directory}")
        for step in way.before:
            run.do(step)
        started = descendants(run.first.pid)
        ended_at = time.monotonic()
        for step in way.end:
            run.do(step)
            if isinstance(step, steps.Mend):
                # No release could have come through before.
                ended_at = time.monotonic()
        seconds = None
        if set(way.outcomes) == {UNUSED}:
            wait_until(lambda: not is_alive(run.first.pid), START_SECONDS)
        elif wait_until(
            lambda: stage.has_released(way),
            ended_at + way.within_seconds + LATE_SECONDS - time.monotonic(),
        ):
            seconds = time.monotonic() - ended_at
        outcomes = stage.play_out()
        jobs_left_queued = stage.jobs_left_queued()
    finally:
        left = _clear(run, started)
        if run.supervisor_signalled or not marks.begun():
            place.stop()
    return Trial(way.name, row.place, outcomes, seconds, jobs_left_queued, left)


def _is_saved(credentials: QiskitRuntimeCredentials, block: str) -> bool:
    """
    Try to save the block: on SQLite the server fails for a while when clients are killed.

    And on PostgreSQL two trials that register its type at the same moment make one of them fail.
    """
    try:
        credentials.save(block, overwrite=True)
    except (HTTPError, ObjectNotFound):
        return False
    return True


def _clear(run: Run, started: set[int]) -> tuple[str, ...]:
    """End what is left of the flow run, and return the commands that its death did not end."""
    run.marks.let_go()
    begun = run.marks.begun()
    if not begun:
        return ()
    flow = begun[0].pid
    if not wait_until(lambda: not is_alive(flow), LAST_SECONDS):
        os.kill(flow, SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in started), LAST_SECONDS)
    left = [pid for pid in started if is_alive(pid)]
    commands = tuple(command_line(pid) for pid in left)
    for pid in left:
        os.kill(pid, SIGKILL)
    return commands
