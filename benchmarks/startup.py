"""
How soon a session flow is under way: its import, and its first job; see README.md.

    python -m benchmarks.startup [--quick] [--json] [--keep]
"""

import sys
import time
from statistics import median

from benchmarks._processes import answer_of
from benchmarks._results import Measured, Options, part_of, run
from benchmarks._servers import prefect_server, service

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

Moments = tuple[float, float | None]
"""When the flow was called, and when its first task began, if that is what is waited for."""

RUNS = 7
QUICK_RUNS = 3


def measure(options: Options) -> Measured:
    """Measure all, each in processes of its own."""
    runs = QUICK_RUNS if options.quick else RUNS
    imports = [answer_of("-c", IMPORT) for _ in range(runs + 1)][1:]
    firsts: dict[str, list[float]] = {who: [] for who in FIRST}
    with prefect_server(), service(0.0) as near:
        for number in range(runs + 1):
            for who, times in firsts.items():
                began, task_began = part_of("startup", who, environment=near.environment)
                seconds = (task_began or near.record()["jobs"][-1]["created"]) - began
                if number:
                    times.append(seconds)
                    print(f"{who}: {seconds:.2f} s", file=sys.stderr)
    figures = {
        "import_seconds_over_prefect": median(one[2] for one in imports),
        "import_seconds_of_prefect": median(one[0] for one in imports),
        **{f"{who}_seconds_to_first": median(times) for who, times in firsts.items()},
    }
    return figures, {"imports": imports, "firsts": firsts}


def _ours() -> Moments:
    from benchmarks._loops import BACKEND  # noqa: PLC0415
    from prefect_qsession import (  # noqa: PLC0415
        QiskitRuntimeCredentials,
        current_backend,
        sampler,
        session_flow,
    )
    from tests.harness.circuits import one_bit  # noqa: PLC0415 - what it imports is measured

    @session_flow(QiskitRuntimeCredentials.from_environment(), backend=BACKEND)
    def first() -> None:
        sampler().run([one_bit(current_backend().num_qubits)], shots=1)

    began = time.time()
    first()
    return began, None


def _bare() -> Moments:
    from qiskit_ibm_runtime import Session  # noqa: PLC0415
    from qiskit_ibm_runtime.executor_sampler import Sampler  # noqa: PLC0415

    from benchmarks._loops import bare_backend  # noqa: PLC0415
    from tests.harness.circuits import one_bit  # noqa: PLC0415

    began = time.time()
    backend = bare_backend({})
    with Session(backend=backend) as session:
        Sampler(mode=session).run([one_bit(backend.num_qubits)], shots=1)
    return began, None


def _prefect() -> Moments:
    from prefect import flow, task  # noqa: PLC0415

    @task
    def first_task() -> float:
        return time.time()

    @flow
    def first() -> float:
        return first_task()

    began = time.time()
    return began, first()


FIRST = {"ours": _ours, "bare": _bare, "prefect": _prefect}

if __name__ == "__main__":
    quick = f"{QUICK_RUNS} runs of each instead of {RUNS}"
    run("startup", measure, quick=quick, part=lambda who: FIRST[who]())
