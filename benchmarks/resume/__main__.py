"""
VQE flow runs whose process is killed at random moments, and which are retried as from the UI.

    python -m benchmarks.resume [--trials 20] [--seed 1] [--lanes 2] [--evaluations 20]
                                [--replayed 500] [--json] [--keep]

Each has an emulated service of its own, whose record judges: no job is run twice. What a killed run
finds in the end is compared with an undisturbed run of the same seed, value by value. Besides, a
run of many evaluations is killed after its last one, and the time is taken that it takes to replay
them.
"""

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from benchmarks import _results
from demo.servers import PrefectServer
from benchmarks.resume.trial import (
    JOB_SECONDS,
    Kill,
    Stage,
    Trial,
    differing,
    draw_kills,
    run_trial,
)
from prefect_qsession.emulator import SimulatorPool

WAYS = ("tasks", "calls")
"""How evaluations that are replayed are made: each a Prefect task, as in `flows.vqe`, or not."""


def main() -> None:
    """Run the trials, and print one JSON object last, or the figures alone as a table."""
    parser = _results.parser("resume")
    parser.add_argument("--trials", type=int, default=20, help="how many flow runs are killed")
    parser.add_argument("--seed", type=int, default=1, help="decides when each is killed")
    parser.add_argument("--lanes", type=int, default=2, help="how many run at once")
    parser.add_argument("--evaluations", type=int, default=20, help="of each, at the most")
    parser.add_argument(
        "--replayed", type=int, default=500, help="evaluations whose replay is timed"
    )
    options = parser.parse_args()
    report = measure(
        options.trials, options.seed, options.lanes, options.evaluations, options.replayed
    )
    _results.finish(report, options)


def measure(trials: int, seed: int, lanes: int, evaluations: int, replayed: int) -> dict[str, Any]:
    """Run so many trials on a Prefect server of their own, and return the report."""
    load, _, _ = os.getloadavg()
    began = time.monotonic()
    parameters = {"legacy": True, "max_evaluations": evaluations}
    with tempfile.TemporaryDirectory(prefix="qsession-resume-") as name:
        directory = Path(name)
        with PrefectServer(directory / "server") as server, SimulatorPool() as simulators:

            def stage(what: str, job_seconds: float) -> Stage:
                return Stage(server, simulators, directory / f"{what}.log", job_seconds)

            # First, while nothing else runs.
            replays = {how: _replay(stage(how, 0.0), replayed, how) for how in WAYS}
            undisturbed = run_trial(0, (), stage("undisturbed", JOB_SECONDS), parameters)
            if undisturbed.energies is None:
                raise RuntimeError((directory / "undisturbed.log").read_text())
            killed = _run_trials(
                lanes,
                [
                    (number, draw_kills(number, seed, evaluations), stage(f"{number}", JOB_SECONDS))
                    for number in range(1, trials + 1)
                ],
                parameters,
            )
    expected = undisturbed.energies
    return {
        "name": "resume",
        "figures": {
            "jobs_submitted_twice": sum(trial.jobs_submitted_twice for trial in killed),
            "energies_that_differ": sum(differing(trial.energies, expected) for trial in killed),
            f"replay_seconds_{replayed}": replays["tasks"],
            f"replay_seconds_{replayed}_without_tasks": replays["calls"],
            "seconds": round(time.monotonic() - began, 1),
        },
        "details": {
            "trials": len(killed),
            "seed": seed,
            "lanes": lanes,
            "processes_killed": sum(trial.killed for trial in killed),
            "energies_compared": len(killed) * len(expected),
            "undisturbed": asdict(undisturbed),
            "runs": [asdict(trial) for trial in sorted(killed, key=lambda each: each.number)],
            "load_average_at_start": load,
        },
    }


def _run_trials(
    lanes: int, trials: list[tuple[int, tuple[Kill, ...], Stage]], parameters: dict[str, Any]
) -> list[Trial]:
    done: list[Trial] = []
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        ThreadPoolExecutor(lanes) as pool,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        bar = progress.add_task("trials", total=len(trials))
        running = [
            pool.submit(run_trial, number, kills, stage, parameters)
            for number, kills, stage in trials
        ]
        for trial in as_completed(running):
            done.append(trial.result())
            progress.advance(bar)
    return done


def _replay(stage: Stage, evaluations: int, how: str) -> float:
    """Return how many seconds a flow run takes to replay its evaluations, killed after the last."""
    parameters = {"evaluations": evaluations, "how": how}
    with stage:
        stage.run("replay", parameters)
        seconds = stage.run("replay", parameters)
        submitted = len(stage.emulator.jobs)
    if seconds is None or submitted != evaluations:
        raise RuntimeError(f"{submitted} jobs of {evaluations}; replayed in {seconds} s.")
    return float(seconds)


if __name__ == "__main__":
    main()
