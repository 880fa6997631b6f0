"""Run the demonstration: `python -m demo`, or `make demo`."""

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from demo import record
from demo.servers import Servers

BLOCK = "qsession-demo"
BACKEND = "ibm_sherbrooke"
EVALUATIONS = 40

QUIET = {
    # The story is told here; the flow runs' own logs are in the UI.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
}

console = Console(highlight=False)


def main() -> None:
    """Start the servers, run both flows, and say what happened to their sessions."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the servers running at the end")
    options = parser.parse_args()
    with Servers() as servers:
        with console.status("Starting a Prefect server and the emulator ..."):
            began = time.monotonic()
            servers.start()
        console.print(f"Prefect server  {servers.prefect_url}")
        console.print(f"Emulator        {servers.emulator_url}")
        console.print(f"                both up after {time.monotonic() - began:.1f} s\n")
        _run(servers)
        if options.keep:
            console.print(f"\nBoth servers stay up. Look at {servers.prefect_url}, then stop them:")
            console.print(f"  {servers.keep()}", soft_wrap=True)


def _run(servers: Servers) -> None:
    os.environ.update(servers.environment() | QUIET)
    os.environ["PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS"] = BLOCK
    os.environ["PREFECT_INTEGRATIONS_QSESSION_BACKEND"] = BACKEND
    with console.status("Loading Prefect and Qiskit ..."):
        # Not at the top: Prefect reads its settings when it is imported.
        from demo.runs import PlannedFailure, failing_vqe, vqe  # noqa: PLC0415
        from prefect_qsession import QiskitRuntimeCredentials  # noqa: PLC0415

        QiskitRuntimeCredentials.from_environment(servers.emulator_environment()).save(BLOCK)

    state = _watched(
        servers,
        "1. A VQE that completes",
        EVALUATIONS + 1,
        lambda: vqe(max_evaluations=EVALUATIONS, return_state=True),
    )
    result = state.result()
    _tell(servers, state, f"{_compared(result.energy, result.exact_energy)}, measured at the end")

    state = _watched(servers, "2. A VQE that fails", 4, lambda: failing_vqe(return_state=True))
    error = state.result(raise_on_failure=False)
    if not isinstance(error, PlannedFailure):
        raise SystemExit(f"The failing flow run ended otherwise than planned: {error!r}")
    _tell(servers, state, f"{_compared(error.best, error.exact)}, the best until it failed")


def _watched(servers: Servers, title: str, jobs: int, run: Callable[[], Any]) -> Any:
    """Run a flow with a bar that follows its jobs, as the emulator sees them."""
    earlier = len(record.sessions(servers.emulator_url))
    with _progress(title, jobs) as show:
        over = threading.Event()

        def update() -> None:
            for story in record.sessions(servers.emulator_url)[earlier:]:
                show(story.finished_jobs, story.session["state"])

        def follow() -> None:
            while not over.wait(0.25):
                update()

        follower = threading.Thread(target=follow)
        follower.start()
        try:
            return run()
        finally:
            over.set()
            follower.join()
            update()


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


def _tell(servers: Servers, state: Any, energy: str) -> None:
    [story] = record.sessions(servers.emulator_url)[-1:]
    flow_run_url = f"{servers.prefect_url}/runs/flow-run/{state.state_details.flow_run_id}"
    lines = {"flow run": state.name, **story.lines(), "energy": energy, "look at": flow_run_url}
    for subject, line in lines.items():
        console.print(f"  {subject:<9} {line}", soft_wrap=True)
    console.print()


def _compared(energy: float, exact: float) -> str:
    return f"{energy:.4f} hartree, {abs(energy - exact):.4f} from the exact {exact:.4f}"


if __name__ == "__main__":
    main()
