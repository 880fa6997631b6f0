"""
Many flow runs, each ended at a random moment in a random way; see README.md.

    python -m benchmarks.chaos [--trials 500] [--seed 1] [--lanes 3] [--json] [--keep]
"""

import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks._results import Measured, Options, run
from benchmarks.chaos.lanes import SETTINGS, run_trials
from benchmarks.chaos.living import PATIENCE_SECONDS, LivingFlowRuns
from benchmarks.chaos.report import details_of, figures_of, line
from benchmarks.chaos.shared import Shared
from benchmarks.chaos.trial import Trial
from benchmarks.chaos.ways import draw
from demo.servers import PrefectServer
from prefect_qsession.emulator import SimulatorPool
from tests.harness.forks import ForkServer
from tests.harness.postgresql import database_where_installed
from tests.harness.processes import heed_signals


def measure(options: Options) -> Measured:
    """Run the trials, and leave behind only what tells of those that went wrong."""
    heed_signals()
    directory = Path(tempfile.mkdtemp(prefix="qsession-chaos-"))
    figures, details = _run(options, directory)
    if details["not_released"] or details["not_run"]:
        print(f"What went wrong is in {directory}", file=sys.stderr)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return figures, details


def _run(options: Options, directory: Path) -> Measured:
    """Run the trials on a Prefect server of their own."""
    count = options.trials
    began = time.monotonic()
    trials: list[Trial] = []
    not_run: list[str] = []
    with ExitStack() as resources:
        settings = resources.enter_context(database_where_installed())
        server = PrefectServer(directory / "server", **settings)
        fork_server = ForkServer(server.environment() | SETTINGS, directory / "fork-server.log")
        resources.enter_context(fork_server)
        resources.enter_context(server)
        simulators = resources.enter_context(SimulatorPool())
        shared = Shared(server, fork_server, simulators, directory)
        living = resources.enter_context(LivingFlowRuns(shared))
        drawn = draw(count, options.seed)
        for done, trial in enumerate(run_trials(drawn, shared, options.lanes), 1):
            if isinstance(trial, Trial):
                trials.append(trial)
                text = line(trial)
            else:
                not_run.append(text := str(trial))
            print(f"{time.monotonic() - began:>6.0f} s, {done:>3}/{count}: {text}", file=sys.stderr)
        lived = living.end()
    return figures_of(trials, lived), {
        "trials": len(trials),
        "not_run": not_run,
        "seed": options.seed,
        "seconds": round(time.monotonic() - began),
        "script_lanes": options.lanes,
        **details_of(trials),
        "living": lived,
        "reaper_passes": living.passes,
        "reaper_passes_failed": living.failed_passes,
        "reaper_did": living.done,
        "reaper_patience_seconds": PATIENCE_SECONDS,
    }


if __name__ == "__main__":
    run(
        "chaos",
        measure,
        trials=(500, "how many flow runs are ended"),
        seed=(1, "decides all that is drawn"),
        lanes=(3, "how many scripts run at once"),
    )
