"""A flow run that has begun, and everything that can be done to end it."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from signal import SIGKILL

from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Cancelling

from demo.servers import ROOT, PrefectServer
from prefect_qsession.emulator import Emulator
from tests.harness import steps
from tests.harness.flows import TIMEOUT_SECONDS
from tests.harness.marks import Mark, Marks
from tests.harness.places import Place
from tests.harness.processes import command_line, descendants, is_alive
from tests.harness.releases import break_releases
from tests.harness.waiting import happened, sleep_until

START_SECONDS = 120.0
"""From the start of a flow run to its moment; a busy machine takes its time."""
LAST_SECONDS = 10.0
"""What the flow's process and those it started have to end by themselves, after all is judged."""
GUARDIAN = "guardian"
"""In the guardian's command line."""


class NotRun(Exception):
    """Something stood in the way of a trial, so nothing was measured."""


class FlowRunHangs(Exception):
    """The flow's process should have ended, and did not."""


class BegunFlowRun:
    """
    A flow run that has begun.

    Args:
        marks: What it says of itself.
        place: Where it runs.
        server: Its Prefect server.
        emulator: The service that its session is opened at.
        timeout_seconds: The flow's time limit, if it has one.
    """

    def __init__(
        self,
        marks: Marks,
        place: Place,
        server: PrefectServer,
        emulator: Emulator,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self.marks = marks
        self.mark: Mark = marks.begun()[0]
        """Of several flow runs the first, which is the one that is ended."""
        self._place = place
        self._server = server
        self._emulator = emulator
        self._timeout_seconds = timeout_seconds
        self._started: set[int] = set()
        self._supervisor_signalled = False

    @property
    def is_alive(self) -> bool:
        """Whether its process has not ended."""
        return is_alive(self.mark.pid)

    def do(self, step: steps.Step) -> float:  # noqa: C901, PLR0912 - a table, written as a match
        """
        Carry out one step, and return when it began, in seconds since the epoch.

        Raises:
            NotRun: There is nothing to do it to.
            FlowRunHangs: It waits for an end that does not come.
        """
        self._note_processes()
        began_at = time.time()
        match step:
            case steps.Send(number, target):
                self._send(number, target)
            case steps.LetGo():
                self.marks.let_go()
            case steps.RunOut():
                sleep_until(self.mark.began_at + self._timeout_seconds)
            case steps.CancelRun(by_cli=True):
                flow_run_id = str(self.mark.flow_run_id)
                self._run_python("-m", "prefect", "flow-run", "cancel", flow_run_id)
            case steps.CancelRun():
                self._client().set_flow_run_state(self.mark.flow_run_id, Cancelling())
            case steps.Resume():
                self._resume()
            case steps.KillServer():
                self._server.kill()
            case steps.Wait(seconds):
                time.sleep(seconds)
            case steps.WaitForDeath():
                if not happened(lambda: not self.is_alive, START_SECONDS):
                    raise FlowRunHangs(f"process {self.mark.pid} did not end")
            case steps.Mend():
                self._emulator.faults.clear()
            case steps.Break(how):
                break_releases(self._emulator, how)
            case steps.Reap():
                reap = "from prefect_qsession.reaper import reap_sessions; reap_sessions()"
                self._run_python("-c", reap)
        return began_at

    def clear(self) -> tuple[str, ...]:
        """End what is left of it; return the commands of those that its death did not end."""
        self._note_processes()
        self.marks.let_go()
        if self._supervisor_signalled:
            # It may yet die from that.
            self._place.stop()
        started = self._started | {self.mark.pid}
        if not happened(lambda: not any(is_alive(pid) for pid in started), LAST_SECONDS):
            # What it has started may end with it.
            with suppress(ProcessLookupError):
                os.kill(self.mark.pid, SIGKILL)
            happened(lambda: not any(is_alive(pid) for pid in started), LAST_SECONDS)
        left = [pid for pid in started if is_alive(pid)]
        commands = tuple(command_line(pid) for pid in left)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        return commands

    def _note_processes(self) -> None:
        self._started |= descendants(self.mark.pid)

    def _send(self, number: int, target: steps.Target) -> None:
        flow = [self.mark.pid] if self.is_alive else []
        # The upper one first: it would notice the death of the other.
        both = [*self._place.supervisors, *flow]
        if target in (steps.Target.SUPERVISOR, steps.Target.BOTH, steps.Target.GROUP):
            self._supervisor_signalled = bool(self._place.supervisors)
        if target is steps.Target.GROUP:
            for group in {os.getpgid(pid) for pid in both}:
                os.killpg(group, number)
            return
        aims = {
            steps.Target.FLOW: flow,
            steps.Target.SUPERVISOR: self._place.supervisors,
            steps.Target.BOTH: both,
            steps.Target.GUARDIAN: [
                pid for pid in descendants(self.mark.pid) if GUARDIAN in command_line(pid)
            ],
        }[target]
        if not aims:
            raise NotRun(f"there is no process to signal: {target}")
        for pid in aims:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _resume(self) -> None:
        client, flow_run_id = self._client(), self.mark.flow_run_id

        def is_waiting() -> bool:
            state = client.read_flow_run(flow_run_id).state
            return state is not None and state.is_paused()

        if not happened(is_waiting, START_SECONDS):
            raise NotRun("it did not pause")
        client.resume_flow_run(flow_run_id)

    def _client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self._server.url)

    def _run_python(self, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        environment = self._place.environment
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
