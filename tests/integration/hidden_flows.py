"""
Flows by name, for a process in which something of the client's is hidden.

`python -m tests.integration.hidden_flows BLOCK FLOW...` runs flows, one after the other, and prints
for each a line with what it returned, as JSON.
"""

import json
import os
import signal
import sys

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import QuantumProgram

from prefect_qsession import estimator, executor, sampler, session_flow
from prefect_qsession.exceptions import NoLegacyPrimitives, NotISA
from prefect_qsession.ibm import internals
from tests.integration.conftest import flipped_qubit, one

BACKEND, QUBITS = "ibm_manila", 5
ANGLES = [0.0, 0.5, 1.0, 2.0]
Z = SparsePauliOp.from_sparse_list([("Z", [0], 1.0)], num_qubits=QUBITS)

TURNED = QuantumCircuit(QUBITS, 1)
TURNED.rz(np.pi / 2, 0)
TURNED.sx(0)
TURNED.rz(Parameter("angle"), 0)
TURNED.sx(0)


def _estimated(angle: float, **options) -> float:
    job = estimator({"default_shots": 2000}, **options).run([(TURNED, Z, [angle])])
    return float(job.result()[0].data.evs)


def _sampled(angle: float, **options) -> float:
    circuit = TURNED.copy()
    circuit.measure(0, 0)
    job = sampler(**options).run([(circuit, [angle])], shots=2000)
    return 1.0 - 2.0 * float(np.mean(job.result()[0].data.c.array))


def primitives() -> dict[str, object]:
    """Iterate with both primitives, and run a program as it stands; refuse what is not ISA."""
    program = QuantumProgram(shots=20)
    program.append_circuit_item(flipped_qubit(QUBITS))
    wrong = QuantumCircuit(QUBITS, 1)
    wrong.h(0)
    try:
        sampler().run([wrong])
    except NotISA:
        refused = True
    else:
        refused = False
    return {
        "estimator": [_estimated(angle) for angle in ANGLES],
        "sampler": [_sampled(angle) for angle in ANGLES],
        "executor": int(executor().run(program).result()[0]["c"].sum()),
        "refused": refused,
        "hidden": internals.are_hidden,
    }


def legacy() -> dict[str, object]:
    """Ask for the older generation; say what was refused."""
    computed, refused = {}, []
    for name, ask in (("estimator", _estimated), ("sampler", _sampled)):
        try:
            computed[name] = [ask(angle, legacy=True) for angle in ANGLES]
        except NoLegacyPrimitives as error:
            refused.append(error.primitive)
    return computed or {"refused": refused}


def counts() -> int:
    """Run one job, and count what it costs."""
    return one()


_attempts: list[list[str]] = []


def resumed() -> dict[str, object]:
    """Fail after two jobs, and ask for them again in the second attempt; the task retries too."""
    seen: list[str] = []

    @task(retries=1, cache_policy=NO_CACHE)
    def fails_once() -> str:
        job = sampler().run([flipped_qubit(QUBITS)], shots=30)
        job.result()
        seen.append(job.job_id())
        if len(seen) == 1:
            raise RuntimeError
        return seen[-1]

    jobs = [sampler().run([flipped_qubit(QUBITS)], shots=shots) for shots in (10, 20)]
    for job in jobs:
        job.result()
    _attempts.append([job.job_id() for job in jobs])
    _attempts[-1].append(fails_once())
    if len(_attempts) == 1:
        raise RuntimeError
    return {"attempts": _attempts, "task": seen}


def fails() -> None:
    """Raise, with a session open."""
    one()
    raise RuntimeError


def killed() -> None:
    """Die without a word, with a session open."""
    one()
    os.kill(os.getpid(), signal.SIGKILL)


OPTIONS = {
    "resumed": {"retries": 1},
    "fails": {"return_state": True},
    "counts": {"qpu_budget": "10m", "session_budget": "1h"},
}


TOLD = "returned: "


def main(block: str, *names: str) -> None:
    """Run flows by their names."""
    for name in names:
        options = dict(OPTIONS.get(name, {}))
        returns_state = options.pop("return_state", False)
        run = session_flow(block, backend=BACKEND, **options)(globals()[name])
        returned = run(return_state=True).type.value if returns_state else run()
        sys.stdout.write(f"{TOLD}{json.dumps(returned)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
