"""
The ground-state energy of a molecule by VQE: SciPy proposes parameters, a QPU returns energies.

Every evaluation is one Prefect task and one job, and all of them run in one session:

    python -m flows.vqe
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from scipy.optimize import minimize

from flows.ansatz import coupled_cluster
from flows.at_hand import service_at_hand
from flows.molecules import (
    EXACT_QUBITS,
    Molecule,
    exact_ground_energy,
    from_file,
    hydrogen,
    lithium_hydride,
)
from prefect_qsession import current_backend, estimator, retry_if_it_can_help, session_flow, track


class VQEResult(BaseModel):
    """What a VQE found; energies are in hartree."""

    molecule: str
    energy: float
    """At the best parameters, measured anew: the lowest of many noisy values is too low."""
    exact_energy: float | None
    """By diagonalisation; None for operators that are too large for it."""
    energies: list[float]
    """Every value that the optimiser saw."""
    parameters: list[float]


@task(
    task_run_name="energy {iteration}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_if_it_can_help,
)
def energy(
    iteration: int,
    ansatz: QuantumCircuit,
    operator: SparsePauliOp,
    parameters: NDArray[np.float64],
    precision: float | None = None,
    *,
    legacy: bool = False,
) -> float:
    """Return the operator's expectation value in the ansatz's state, as one job on the QPU."""
    job = estimator(legacy=legacy).run([(ansatz, operator, parameters)], precision=precision)
    value = float(job.result()[0].data.evs)
    track(energy=value, iteration=iteration)
    get_run_logger().info("Evaluation %d: %.5f hartree.", iteration, value)
    return value


@session_flow(name="vqe", persist_result=True)
def vqe(
    molecule: Literal["H2", "LiH"] = "H2",
    bond_length: Annotated[float, Field(ge=0.2, le=2.85)] = 0.75,
    operator_file: Path | None = None,
    rotations: Annotated[int, Field(ge=1)] = 4,
    max_evaluations: Annotated[int, Field(ge=1, le=10_000)] = 60,
    precision: Annotated[float, Field(gt=0)] = 0.01,
    seed: int = 7,
    legacy: bool = False,
) -> VQEResult:
    """
    Find the ground-state energy of a molecule, or of any operator given as a file.

    Args:
        molecule: H2 (2 qubits) or LiH (4 qubits).
        bond_length: Of H2, in angstrom.
        operator_file: JSON with Pauli terms, instead of a molecule; see `flows/molecules.py`.
        rotations: Parameters of the ansatz at the most; H2 has use for one, LiH for fifteen.
        max_evaluations: How often the optimiser may ask, but at least two more than there are
            rotations, which COBYLA needs; one more evaluation measures the result.
        precision: Standard error of one evaluation, in hartree.
        seed: Of the first parameters.
        legacy: Use the Estimator that is post-processed by the service.
    """
    problem = _problem(molecule, bond_length, operator_file)
    # What takes a while comes first: the session bills from the start of its first job.
    qubits = problem.operator.num_qubits
    exact = exact_ground_energy(problem.operator) if qubits <= EXACT_QUBITS else None
    ansatz, operator = prepare(problem.operator, rotations)
    energies: list[float] = []

    def cost(parameters: NDArray[np.float64]) -> float:
        value = energy(len(energies) + 1, ansatz, operator, parameters, precision, legacy=legacy)
        energies.append(value)
        return value

    first = np.random.default_rng(seed).normal(0.0, 0.1, ansatz.num_parameters)
    # With fewer it would warn, and ask this often all the same.
    evaluations = max(max_evaluations, ansatz.num_parameters + 2)
    track(total=evaluations + 1)
    found = minimize(cost, first, method="COBYLA", options={"maxiter": evaluations, "rhobeg": 0.5})
    final = energy(len(energies) + 1, ansatz, operator, found.x, precision / 3, legacy=legacy)
    get_run_logger().info("%s: %.5f hartree after %d evaluations.", problem.name, final, found.nfev)
    return VQEResult(
        molecule=problem.description,
        energy=final,
        exact_energy=exact,
        energies=energies,
        parameters=list(found.x),
    )


def prepare(operator: SparsePauliOp, rotations: int) -> tuple[QuantumCircuit, SparsePauliOp]:
    """Return an ansatz for the operator, and the operator, both in terms of the backend."""
    passes = generate_preset_pass_manager(
        optimization_level=3, backend=current_backend(), seed_transpiler=1
    )
    isa_ansatz = passes.run(coupled_cluster(operator, rotations))
    return isa_ansatz, operator.apply_layout(isa_ansatz.layout)


def _problem(molecule: str, bond_length: float, operator_file: Path | None) -> Molecule:
    if operator_file is not None:
        return from_file(operator_file, max_qubits=current_backend().num_qubits)
    return hydrogen(bond_length) if molecule == "H2" else lithium_hydride()


if __name__ == "__main__":
    with service_at_hand():
        vqe()
