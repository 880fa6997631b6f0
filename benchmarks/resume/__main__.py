"""
Flow runs whose process is killed, and which are retried as from the UI; see README.md.

    python -m benchmarks.resume [--trials 20] [--seed 1] [--lanes 2] [--evaluations 20]
                                [--replayed 500] [--json] [--keep]
"""

import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks._results import Measured, Options, run
from benchmarks._trials import in_lanes
from benchmarks.resume.trial import JOB_SECONDS, KilledFlowRun, differing, draw_kills, run_trial
from demo.servers import PrefectServer
from prefect_qsession.emulator import SimulatorPool

WAYS = ("tasks", "calls")
"""How evaluations that are replayed are made: each a Prefect task, as in `flows.vqe`, or not."""


def measure(options: Options) -> Measured:
    """Time the replays, and run the trials, on a Prefect server of their own."""
    replayed = options.replayed
    began = time.monotonic()
    parameters = {"legacy": True, "max_evaluations": options.evaluations}
    with tempfile.TemporaryDirectory(prefix="qsession-resume-") as name:
        directory = Path(name)
        with PrefectServer(directory / "server") as server, SimulatorPool() as simulators:

            def flow_run(name: str, job_seconds: float = JOB_SECONDS) -> KilledFlowRun:
                return KilledFlowRun(server, simulators, directory / f"{name}.log", job_seconds)

            # First, while nothing else runs.
            replays = {how: _replay(flow_run(how, 0.0), replayed, how) for how in WAYS}
            undisturbed = run_trial(0, (), flow_run("undisturbed"), parameters)
            if undisturbed.energies is None:
                raise RuntimeError((directory / "undisturbed.log").read_text())
            numbers = range(1, options.trials + 1)
            kills = [draw_kills(number, options.seed, options.evaluations) for number in numbers]
            todo = [
                partial(run_trial, number, of_it, flow_run(str(number)), parameters)
                for number, of_it in zip(numbers, kills, strict=True)
            ]
            killed = sorted(in_lanes(options.lanes, todo), key=lambda trial: trial.number)
    expected = undisturbed.energies
    figures = {
        "jobs_submitted_twice": sum(trial.jobs_submitted_twice for trial in killed),
        "energies_that_differ": sum(differing(trial.energies, expected) for trial in killed),
        f"replay_seconds_{replayed}": replays["tasks"],
        f"replay_seconds_{replayed}_without_tasks": replays["calls"],
        "seconds": round(time.monotonic() - began, 1),
    }
    return figures, {
        "trials": len(killed),
        "seed": options.seed,
        "lanes": options.lanes,
        "processes_killed": sum(trial.killed for trial in killed),
        "energies_compared": len(killed) * len(expected),
        "undisturbed": asdict(undisturbed),
        "runs": [asdict(trial) for trial in killed],
    }


def _replay(flow_run: KilledFlowRun, evaluations: int, how: str) -> float:
    """Return how many seconds a flow run takes to replay its evaluations, killed after the last."""
    parameters = {"evaluations": evaluations, "how": how}
    with flow_run.emulator:
        flow_run.run("replay", parameters)
        seconds = flow_run.run("replay", parameters)
        submitted = len(flow_run.emulator.jobs)
    if seconds is None or submitted != evaluations:
        raise RuntimeError(f"{submitted} jobs of {evaluations}; replayed in {seconds} s.")
    return float(seconds)


if __name__ == "__main__":
    run(
        "resume",
        measure,
        trials=(20, "how many flow runs are killed"),
        seed=(1, "decides when each is killed"),
        lanes=(2, "how many run at once"),
        evaluations=(20, "of each, at the most"),
        replayed=(500, "evaluations whose replay is timed"),
    )
