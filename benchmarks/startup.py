"""
How soon a session flow is under way: its import, and its first job.

    python -m benchmarks.startup [--quick] [--json] [--keep]

Each measurement is a process of its own, after one that is thrown away. The import is that of
`session_flow`, after `from prefect import flow, task`, which every flow needs. The time to a first
job is from the call of the flow to the submission as the emulator's record has it, beside Prefect's
own time from the call of a flow to the first line of its first task, and the bare client's from
connecting to the submission.
"""

import argparse
import json
import subprocess
import sys
import time
from statistics import median
from typing import Any

from benchmarks._results import finish, parser
from benchmarks._servers import Service, prefect_server, service

IMPORT = """
import json, time
began = time.perf_counter()
from prefect import flow, task
prefect = time.perf_counter()
import prefect_qsession
front = time.perf_counter()
from prefect_qsession import session_flow
print(json.dumps([prefect - began, front - prefect, time.perf_counter() - prefect]))
"""

RUNS = 7
QUICK_RUNS = 3


def main() -> None:
    """Measure, and print one JSON object last, or the figures alone as lines."""
    options_of_all = parser("startup", f"{QUICK_RUNS} runs of each instead of {RUNS}")
    options_of_all.add_argument("--first", help=argparse.SUPPRESS)
    options_of_all.add_argument("--environment", help=argparse.SUPPRESS)
    options = options_of_all.parse_args()
    if options.first:
        print(FIRST[options.first](json.loads(options.environment)))
        return
    runs = QUICK_RUNS if options.quick else RUNS
    imports = [json.loads(_said("-c", IMPORT)) for _ in range(runs + 1)][1:]
    firsts = _firsts(runs)
    figures = {
        "import_seconds_over_prefect": median(one[2] for one in imports),
        "import_seconds_of_prefect": median(one[0] for one in imports),
        **{f"{who}_seconds_to_first": median(times) for who, times in firsts.items()},
    }
    details = {"imports": imports, "firsts": firsts}
    finish({"name": "startup", "figures": figures, "details": details}, options)


def _firsts(runs: int) -> dict[str, list[float]]:
    """Measure each way to the first job in turn, each in processes of its own."""
    found: dict[str, list[float]] = {who: [] for who in FIRST}
    with prefect_server() as wait_for_prefect, service(0.0) as near:
        wait_for_prefect()
        for number in range(runs + 1):
            for who, times in found.items():
                seconds = _first_of(who, near)
                if number:
                    times.append(seconds)
                    print(f"{who}: {seconds:.2f} s", file=sys.stderr)
    return found


def _first_of(who: str, near: Service) -> float:
    began, began_its_task = json.loads(
        _said(
            *("-m", "benchmarks.startup", "--first", who),
            *("--environment", json.dumps(near.environment)),
        )
    )
    if began_its_task is not None:
        return float(began_its_task - began)
    return float(near.record()["jobs"][-1]["created"] - began)


def _said(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def _ours(environment: dict[str, str]) -> str:
    from benchmarks._loops import BACKEND  # noqa: PLC0415 - it imports Prefect
    from prefect_qsession import (  # noqa: PLC0415
        QiskitRuntimeCredentials,
        current_backend,
        sampler,
        session_flow,
    )

    @session_flow(QiskitRuntimeCredentials.from_environment(environment), backend=BACKEND)
    def first() -> None:
        sampler().run([_circuit(current_backend().num_qubits)], shots=1)

    began = time.time()
    first()
    return json.dumps([began, None])


def _bare(environment: dict[str, str]) -> str:
    from qiskit_ibm_runtime import Session  # noqa: PLC0415
    from qiskit_ibm_runtime.executor_sampler import Sampler  # noqa: PLC0415

    from benchmarks._loops import bare_backend  # noqa: PLC0415

    began = time.time()
    backend = bare_backend(environment)
    with Session(backend=backend) as session:
        Sampler(mode=session).run([_circuit(backend.num_qubits)], shots=1)
    return json.dumps([began, None])


def _prefect(_environment: dict[str, str]) -> str:
    from prefect import flow, task  # noqa: PLC0415

    @task
    def first_task() -> float:
        return time.time()

    @flow
    def first() -> float:
        return first_task()

    began = time.time()
    return json.dumps([began, first()])


def _circuit(num_qubits: int) -> Any:
    from qiskit import QuantumCircuit  # noqa: PLC0415

    circuit = QuantumCircuit(num_qubits, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


FIRST = {"ours": _ours, "bare": _bare, "prefect": _prefect}

if __name__ == "__main__":
    main()
