"""
Many flow runs, each ended at a random moment in a random way.

    python -m benchmarks.chaos [--trials 500] [--seed 1] [--lanes 3] [--json] [--keep]

Scripts make up 85 of 100, the rest runs under `serve` and a worker. To afford so many, a script is
a fork of a process that has imported Prefect and Qiskit already. Every flow run has an emulated
service of its own, on the machine's clock, whose record is the only judge. Meanwhile a few other
flow runs live on with open sessions, and `qsession reap` must leave them alone. The Prefect server
is on PostgreSQL where that is installed.
"""

import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import _results
from benchmarks.chaos.lanes import SETTINGS, run_trials
from benchmarks.chaos.living import PATIENCE_SECONDS, LivingFlowRuns
from benchmarks.chaos.outcomes import Trial
from benchmarks.chaos.report import details, figures, line
from benchmarks.chaos.shared import Shared
from benchmarks.chaos.ways import draw
from demo.servers import PrefectServer
from prefect_qsession.emulator import SimulatorPool
from tests.harness.forks import ForkServer
from tests.harness.postgresql import database_where_installed
from tests.harness.processes import heed_signals


def main() -> None:
    """Run the trials, and print one JSON object last, or the figures alone as a table."""
    parser = _results.parser("chaos")
    parser.add_argument("--trials", type=int, default=500, help="how many flow runs are ended")
    parser.add_argument("--seed", type=int, default=1, help="decides all that is drawn")
    parser.add_argument("--lanes", type=int, default=3, help="how many scripts run at once")
    options = parser.parse_args()
    heed_signals()
    directory = Path(tempfile.mkdtemp(prefix="qsession-chaos-"))
    report = measure(options.trials, options.seed, options.lanes, directory)
    if report["details"]["not_released"] or report["details"]["not_run"]:
        print(f"What went wrong is in {directory}", file=sys.stderr)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    _results.finish(report, options)


def measure(count: int, seed: int, lanes: int, directory: Path) -> dict[str, Any]:
    """Run so many trials on a Prefect server of their own, and return the report."""
    load, _, _ = os.getloadavg()
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
        for trial in run_trials(draw(count, seed), shared, lanes):
            if isinstance(trial, Trial):
                trials.append(trial)
            else:
                not_run.append(str(trial))
            text = line(trial) if isinstance(trial, Trial) else str(trial)
            done = len(trials) + len(not_run)
            print(f"{time.monotonic() - began:>6.0f} s, {done:>3}/{count}: {text}", file=sys.stderr)
        lived = living.end()
    return {
        "name": "chaos",
        "figures": figures(trials, lived),
        "details": {
            "trials": len(trials),
            "not_run": not_run,
            "seed": seed,
            "seconds": round(time.monotonic() - began),
            "script_lanes": lanes,
            "load_average_at_start": load,
            "scripts": "forks of a process that has imported Prefect and Qiskit",
            **details(trials),
            "living": [asdict(each) for each in lived],
            "reaper_passes": living.passes,
            "reaper_passes_failed": living.failed_passes,
            "reaper_did": living.done,
            "reaper_patience_seconds": PATIENCE_SECONDS,
        },
    }


if __name__ == "__main__":
    main()
