"""
An iteration by `prefect-qiskit`, the other Prefect plugin for Qiskit, and by ours; see README.md.

    python -m benchmarks.peers [--quick] [--json] [--keep]
"""

import json
import os
import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks._results import Measured, Options, run
from benchmarks._servers import prefect_server, service

PEER = "prefect-qiskit"

JOB_SECONDS = 0.15
QUEUE = {"jobs_ahead": 1, "seconds_ahead": 3.0}


def measure(options: Options) -> Measured:
    """Measure without a queue, and with one."""
    pairs, evaluations = (1, 5) if options.quick else (3, 20)
    with TemporaryDirectory(prefix="qsession-peer-") as directory, prefect_server():
        peer = options.peer_python or _install(Path(directory))
        rows = {
            "without_queue": [_pair(peer, evaluations, number, {}) for number in range(pairs)],
            "with_queue": [_pair(peer, evaluations, number, QUEUE) for number in range(pairs)],
        }
    figures = {}
    for name, measured in rows.items():
        figures[f"speedup_{name}"] = median(row["peer"] / row["ours"] for row in measured)
        for whose in ("peer", "ours"):
            figures[f"{whose}_seconds_{name}"] = median(row[whose] for row in measured)
    return figures, rows


def _install(directory: Path) -> str:
    """Make an environment with the peer, and return its Python."""
    venv.create(directory, with_pip=True)
    python = str(directory / "bin" / "python")
    # What both use is of the same version, so that only they themselves differ.
    ours = directory / "constraints.txt"
    ours.write_text("".join(f"{one.name}=={one.version}\n" for one in distributions()))
    command = [python, "-m", "pip", "install", "--quiet", "--constraint", str(ours), PEER]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return python


def _pair(peer: str, evaluations: int, number: int, queue: dict[str, Any]) -> dict[str, Any]:
    """Measure both, one after the other, on a service of their own; seconds per iteration."""
    with service(JOB_SECONDS, **queue) as near:
        from benchmarks import _loops  # noqa: PLC0415

        _, credentials, work = _loops.connect(near.environment)
        parameters = _loops.parameters(work, evaluations)
        version: list[str] = []

        def ours() -> float:
            moments = [perf_counter()]
            _loops.evaluate_ours(
                credentials, work, parameters, lambda: moments.append(perf_counter())
            )
            return _per_iteration(moments if queue else moments[1:])

        def theirs() -> float:
            asked = {
                "environment": near.environment,
                "backend": _loops.BACKEND,
                "operator": _loops.hydrogen_terms(),
                "parameters": [list(each) for each in parameters],
                "precision": _loops.PRECISION,
            }
            script = str(Path(__file__).with_name("_peer.py"))
            # A directory without our checkout, and an environment without our paths.
            done = subprocess.run(
                [peer, "-I", script, json.dumps(asked)],
                cwd=Path(script).parent,
                env=os.environ | near.environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            told = json.loads(done.stdout.splitlines()[-1])
            version.append(told["version"])
            return _per_iteration([told["began"], *told["arrivals"]] if queue else told["arrivals"])

        measures = {"ours": ours, "peer": theirs}
        in_turn = reversed(measures) if number % 2 else measures
        row = {whose: measures[whose]() for whose in in_turn}
    print(f"{queue or 'no queue'}: {row}", file=sys.stderr)
    return row | {"peer_version": version[0]}


def _per_iteration(moments: list[float]) -> float:
    return (moments[-1] - moments[0]) / (len(moments) - 1)


if __name__ == "__main__":
    run(
        "peers",
        measure,
        quick="one pair of 5 evaluations each",
        peer_python=("", "the Python of an environment that has it; made anew if left out"),
    )
