"""
What error mitigation brings and costs: its methods side by side, on one circuit, in one session.

The circuit is a chain of spins in a field, in steps of time; the deeper, the more a QPU errs. What
an ideal device would measure is computed here. In one session the methods meet one calibration of
the device:

    python -m flows.error_mitigation

The emulator's devices make no errors. There the methods agree within their standard errors, and
what they cost is seen: the Estimator of the client does them itself, with more circuits and shots.
What they bring is seen on a QPU only.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from prefect import get_run_logger, task, unmapped
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit.transpiler import generate_preset_pass_manager

from flows.at_hand import service_at_hand
from prefect_qsession import (
    current_backend,
    estimator,
    retry_if_it_can_help,
    session_flow,
    track,
)

Method = Literal["none", "decoupling", "readout", "twirling", "extrapolation"]

OPTIONS: dict[Method, dict[str, Any]] = {
    "none": {"resilience_level": 0},
    "decoupling": {"resilience_level": 0, "dynamical_decoupling": {"enable": True}},
    "readout": {"resilience_level": 1},
    "twirling": {"resilience_level": 1, "twirling": {"enable_gates": True}},
    "extrapolation": {"resilience_level": 2},
}
"""Of the Estimator. Not here is cancellation (PEC): it needs a noise model that was learned."""


class Measurement(BaseModel):
    """What one method has measured, and what it has cost."""

    method: Method
    magnetisation: float
    standard_error: float
    error: float
    """Off what an ideal device would measure."""
    qpu_seconds: float


@task(
    task_run_name="{method}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_if_it_can_help,
)
def measure(
    method: Method,
    circuit: QuantumCircuit,
    operator: SparsePauliOp,
    precision: float,
    ideal: float,
) -> Measurement:
    """Measure the operator with one method, as one job on the QPU."""
    job = estimator(OPTIONS[method]).run([(circuit, operator)], precision=precision)
    [pub] = job.result()
    value = float(pub.data.evs)
    track(magnetisation=value)
    return Measurement(
        method=method,
        magnetisation=value,
        standard_error=float(pub.data.stds),
        error=value - ideal,
        qpu_seconds=job.client_job.usage(),
    )


@session_flow(name="error-mitigation", persist_result=True)
def error_mitigation(
    spins: Annotated[int, Field(ge=2, le=16)] = 6,
    steps: Annotated[int, Field(ge=1, le=100)] = 4,
    methods: Annotated[Sequence[Method], Field(min_length=1)] = tuple(OPTIONS),
    precision: Annotated[float, Field(gt=0)] = 0.02,
) -> list[Measurement]:
    """
    Measure the magnetisation of a chain of spins with several methods of error mitigation.

    Args:
        spins: How many the chain has, a qubit for each.
        steps: Steps of time; each adds two layers of entangling gates.
        methods: Methods of error mitigation; every one is a job.
        precision: The standard error to ask for.
    """
    chain = _spin_chain(spins, steps)
    magnetisation = SparsePauliOp.from_sparse_list(
        [("Z", [spin], 1 / spins) for spin in range(spins)], num_qubits=spins
    )
    ideal = float(Statevector(chain).expectation_value(magnetisation).real)
    passes = generate_preset_pass_manager(3, backend=current_backend(), seed_transpiler=1)
    circuit = passes.run(chain)
    operator = magnetisation.apply_layout(circuit.layout)

    track(total=len(methods))
    measured = measure.map(
        methods, unmapped(circuit), unmapped(operator), unmapped(precision), unmapped(ideal)
    ).result()

    for it in measured:
        get_run_logger().info(
            "%s: %+.4f off the ideal %.4f, ± %.4f, for %g s of QPU time.",
            *(it.method, it.error, ideal, it.standard_error, it.qpu_seconds),
        )
    create_table_artifact(
        [
            {
                "method": it.method,
                "magnetisation": round(it.magnetisation, 4),
                "standard error": round(it.standard_error, 4),
                "error": round(it.error, 4),
                "QPU seconds": it.qpu_seconds,
            }
            for it in measured
        ],
        key="error-mitigation",
        description=f"An ideal device would measure {ideal:.4f}.",
    )
    return measured


def _spin_chain(spins: int, steps: int) -> QuantumCircuit:
    """Return the time evolution of a chain of spins that starts with all of them up."""
    circuit = QuantumCircuit(spins, name="spin-chain")
    for _ in range(steps):
        circuit.rx(np.pi / 8, range(spins))
        for first in (0, 1):
            for spin in range(first, spins - 1, 2):
                circuit.rzz(-np.pi / 4, spin, spin + 1)
    return circuit


if __name__ == "__main__":
    with service_at_hand(job_seconds=None):
        error_mitigation()
