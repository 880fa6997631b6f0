"""The benchmarks run, and print what they promise; how fast anything is, is not asserted here."""

import json
import math
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
QUANTITIES = ("qpu_idle", "wall", "billed")


def test_the_iteration_benchmark_prints_its_figures_last():
    """One JSON object, with a finite number for every figure, and every loop that was run."""
    command = [sys.executable, "-m", "benchmarks.iteration", "--quick", "--json"]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(finished.stdout.splitlines()[-1])

    assert {"name", "figures", "details"} == set(report)
    assert "iteration" == report["name"]
    assert {
        *(
            f"{quantity}_ratio_{spread}"
            for quantity in QUANTITIES
            for spread in ("median", "min", "max")
        ),
        *(
            f"{whose}_{quantity}_seconds_per_iteration"
            for quantity in QUANTITIES
            for whose in ("bare", "ours", "added")
        ),
    } == set(report["figures"])
    assert all(math.isfinite(value) for value in report["figures"].values())
    assert 8 == report["details"]["iterations"]
    assert [1] == [len(point["runs"]) for point in report["details"]["points"]]
