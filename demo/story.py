"""
Run the flows against servers that are up, and tell what happened: `python -m demo.story URL URL`.

Expects the Prefect API to use in its environment, and on its standard input, as JSON, the variables
that the emulator printed.
"""

import os

# The story is told here; what the flow runs log is in the UI. Read when these are imported.
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
os.environ.setdefault("QISKIT_IBM_RUNTIME_LOG_LEVEL", "ERROR")

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect import State
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from demo import record
from demo.runs import FAILS_AT, PlannedFailure, failing_vqe, vqe
from prefect_qsession import QiskitRuntimeCredentials

BLOCK = "qsession-demo"
BACKEND = "ibm_sherbrooke"
EVALUATIONS = 40
KILLED_AFTER_JOBS = 3

console = Console(highlight=False)


@dataclass(frozen=True)
class Story:
    """Where to run, and where to look."""

    prefect_url: str
    emulator_url: str

    def tell(self) -> None:
        """Run the flows, one after the other, and say what became of their sessions."""
        QiskitRuntimeCredentials.from_environment(json.load(sys.stdin)).save(BLOCK)
        os.environ["PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS"] = BLOCK
        os.environ["PREFECT_INTEGRATIONS_QSESSION_BACKEND"] = BACKEND

        state, story = self._watch(
            "1. A VQE that completes",
            EVALUATIONS + 1,
            lambda: vqe(max_evaluations=EVALUATIONS, return_state=True),
        )
        result = state.result()
        energy = _compared(result.energy, result.exact_energy)
        self._report(state, story, f"{energy}, measured at the end")

        state, story = self._watch(
            "2. A VQE that fails", FAILS_AT - 1, lambda: failing_vqe(return_state=True)
        )
        error = state.result(raise_on_failure=False)
        if not isinstance(error, PlannedFailure):
            raise SystemExit(f"The failing flow run ended otherwise than planned: {error!r}")
        self._report(
            state, story, f"{_compared(error.best, error.exact)}, the best until it failed"
        )
        self._kill("3. A VQE that is killed")

    def _kill(self, title: str) -> None:
        """Run a flow in a process of its own, kill that while a job runs, and tell what follows."""
        earlier = len(record.sessions(self.emulator_url))

        def newest() -> record.SessionStory | None:
            return next(iter(record.sessions(self.emulator_url)[earlier:]), None)

        with _progress(title, KILLED_AFTER_JOBS) as show:
            process = subprocess.Popen(
                [sys.executable, "-m", "demo.runs"], stderr=subprocess.DEVNULL
            )
            try:
                while not (story := newest()) or not story.runs_a_job(after=KILLED_AFTER_JOBS):
                    if process.poll() is not None:
                        raise SystemExit("The flow run that was to be killed ended by itself.")
                    if story:
                        show(story.finished_jobs, story.session["state"])
                    time.sleep(0.02)
            finally:
                process.kill()
            killed = time.monotonic()
            process.wait()
            while story.session["accepting_jobs"]:
                story = newest() or story
            seconds = time.monotonic() - killed
            while story.session["state"] != "closed":
                story = newest() or story
                time.sleep(0.1)
            show(story.finished_jobs, "closed")
        self._print(
            {
                "flow run": f"killed (kill -9), while job {KILLED_AFTER_JOBS + 1} ran",
                **story.lines(),
                "after": f"{seconds:.2f} s: by the guardian, a process that watches the flow's",
            }
        )

    def _watch(
        self, title: str, jobs: int, run: Callable[[], Any]
    ) -> tuple[State[Any], record.SessionStory]:
        """Run a flow with a bar that follows its jobs, and return its state and its one session."""
        earlier = len(record.sessions(self.emulator_url))
        over = threading.Event()
        with _progress(title, jobs) as show:

            def update() -> None:
                for story in record.sessions(self.emulator_url)[earlier:]:
                    show(story.finished_jobs, story.session["state"])

            def follow() -> None:
                while not over.wait(0.25):
                    update()

            follower = threading.Thread(target=follow)
            follower.start()
            try:
                state: State[Any] = run()
            finally:
                over.set()
                follower.join()
                update()
        [story] = record.sessions(self.emulator_url)[earlier:]
        return state, story

    def _report(self, state: State[Any], story: record.SessionStory, energy: str) -> None:
        lines = {
            "flow run": str(state.name),
            **story.lines(),
            "energy": energy,
            "look at": f"{self.prefect_url}/runs/flow-run/{state.state_details.flow_run_id}",
        }
        self._print(lines)

    def _print(self, lines: dict[str, str]) -> None:
        for subject, line in lines.items():
            console.print(f"  {subject:<9} {line}", soft_wrap=True)
        console.print()


@contextmanager
def _progress(title: str, jobs: int) -> Iterator[Callable[[int, str], None]]:
    columns = (
        TextColumn(f"[bold]{title:<24}[/bold]"),
        BarColumn(),
        TextColumn("{task.completed:>2.0f} jobs"),
        TextColumn("session {task.fields[state]:<8}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(title, total=jobs, state="none yet")
        yield lambda done, state: progress.update(bar, completed=done, state=state)
        # An optimiser may be content before it has asked as often as it may.
        progress.update(bar, total=progress.tasks[bar].completed)


def _compared(energy: float, exact: float) -> str:
    return f"{energy:.4f} hartree, {abs(energy - exact):.4f} from the exact {exact:.4f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m demo.story", description=__doc__)
    parser.add_argument("prefect_url")
    parser.add_argument("emulator_url")
    options = parser.parse_args()
    Story(options.prefect_url, options.emulator_url).tell()
