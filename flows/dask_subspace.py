"""
The ground-state energy of a molecule, its classical step on Dask and its samples from a QPU.

The QPU samples basis states, and in the space of those Dask diagonalises the operator. Then Dask
tries every rotation on the vector it has found; the one that lowers the energy most is added to the
circuit that the QPU samples next. This is ADAPT-QSCI: Nakagawa et al., J. Chem. Theory Comput. 20,
10817 (2024). The classical step is a subflow with Prefect's own Dask runner; the jobs stay in the
session of the flow run around it (for quantum tasks on Dask, see docs/distributed.md):

    pip install 'prefect-qsession[dask]'
    python -m flows.dask_subspace
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from prefect import flow, get_run_logger, task, unmapped
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field
from qiskit import QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager

from flows.ansatz import couplings, generator, lowest_basis_state
from flows.at_hand import service_at_hand
from flows.molecules import exact_ground_energy, hydrogen, lithium_hydride
from prefect_qsession import (
    current_backend,
    retry_if_it_can_help,
    sampler,
    session_flow,
    track,
)

Turn = tuple[float, float]
"""The lowest energy that a rotation leads to, and its angle."""


class SubspaceResult(BaseModel):
    """The energy in the space of the sampled basis states, in hartree."""

    molecule: str
    energy: float
    exact_energy: float
    energies: list[float]
    """After each job: never rising, and never below the exact one but by rounding."""
    basis_states: int
    """How many the QPU has sampled, all jobs together."""


@task(
    task_run_name="sample {iteration}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_if_it_can_help,
)
def sample(iteration: int, circuit: QuantumCircuit, shots: int) -> Counter[int]:  # noqa: ARG001 - in the task run's name
    """Return the basis states that were measured and how often, as one job on the QPU."""
    [pub] = sampler().run([circuit], shots=shots).result()
    return Counter(pub.data.meas.get_int_counts())


@task(cache_policy=NO_CACHE)
def diagonalise(
    operator: SparsePauliOp, states: Sequence[int]
) -> tuple[float, NDArray[np.complex128]]:
    """Return the lowest energy in the space of these basis states, and its vector in all space."""
    matrix = operator.to_matrix(sparse=True).tocsr()
    energies, vectors = np.linalg.eigh(matrix[np.ix_(states, states)].toarray())
    vector = np.zeros(matrix.shape[0], dtype=complex)
    vector[list(states)] = vectors[:, 0]
    return float(energies[0]), vector


@task(task_run_name="turn by {pauli}", cache_policy=NO_CACHE)
def turn(pauli: SparsePauliOp, operator: SparsePauliOp, vector: NDArray[np.complex128]) -> Turn:
    """Return the lowest energy of `exp(-iθP)` on the vector, and the θ that it is at."""
    matrix = operator.to_matrix(sparse=True)
    flipped = pauli.to_matrix(sparse=True) @ vector
    here = (vector.conj() @ matrix @ vector).real
    there = (flipped.conj() @ matrix @ flipped).real
    # The energy is a sine of 2θ: its cosine part, and its sine part.
    cosine, sine = (here - there) / 2, (vector.conj() @ matrix @ flipped).imag
    lowest = (here + there) / 2 - np.hypot(cosine, sine)
    return float(lowest), float(np.arctan2(-sine, -cosine) / 2)


@flow(name="classical-step", flow_run_name="step {iteration}")
def classical_step(
    iteration: int, operator: SparsePauliOp, states: list[int], pool: list[SparsePauliOp]
) -> tuple[float, list[Turn]]:
    """Return the energy in the space of the basis states, and what each turn would make of it."""
    get_run_logger().info("Step %d: a space of %d basis states.", iteration, len(states))
    energy, vector = diagonalise.submit(operator, states).result()
    turns = turn.map(pool, unmapped(operator), unmapped(vector)).result()
    return energy, turns


@session_flow(name="dask-subspace", persist_result=True)
def dask_subspace(
    molecule: Literal["H2", "LiH"] = "LiH",
    bond_length: Annotated[float, Field(ge=0.2, le=2.85)] = 0.75,
    iterations: Annotated[int, Field(ge=1, le=100)] = 6,
    shots: Annotated[int, Field(ge=1, le=100_000)] = 1000,
    scheduler: str | None = None,
    workers: Annotated[int, Field(ge=1, le=64)] = 2,
) -> SubspaceResult:
    """
    Find the ground-state energy of a molecule in the space of the basis states that a QPU samples.

    Args:
        molecule: H2 (2 qubits) or LiH (4 qubits).
        bond_length: Bond length of H2, in angstrom.
        iterations: Jobs at the most; it ends when no rotation would lower the energy.
        shots: How often each job measures.
        scheduler: Address of a Dask scheduler, such as tcp://10.0.0.1:8786; a cluster of this
            machine, for this run, if left out.
        workers: How many processes the cluster of this machine has.
    """
    log = get_run_logger()
    problem = hydrogen(bond_length) if molecule == "H2" else lithium_hydride()
    operator = problem.operator
    qubits = operator.num_qubits
    pool = [generator(flips, qubits) for flips in couplings(operator)]
    passes = generate_preset_pass_manager(3, backend=current_backend(), seed_transpiler=1)
    circuit = QuantumCircuit(qubits, name="subspace")
    circuit.x(lowest_basis_state(operator))
    seen: Counter[int] = Counter()
    energies: list[float] = []

    with _dask(scheduler, workers) as runner:
        step_on_dask = classical_step.with_options(task_runner=runner)
        for iteration in range(1, iterations + 1):
            isa = passes.run(circuit.measure_all(inplace=False))
            seen.update(sample(iteration, isa, shots))
            energy, turns = step_on_dask(iteration, operator, sorted(seen), pool)
            energies.append(energy)
            track(energy=energy, iteration=iteration, total=iterations)
            log.info("Iteration %d: %.5f hartree in %d states.", iteration, energy, len(seen))
            lowest, angle = min(turns)
            if lowest > energy - 1e-6:
                break
            best = pool[turns.index((lowest, angle))]
            circuit.append(PauliEvolutionGate(best, time=angle), circuit.qubits)

    return SubspaceResult(
        molecule=problem.description,
        energy=energies[-1],
        exact_energy=exact_ground_energy(operator),
        energies=energies,
        basis_states=len(seen),
    )


@contextmanager
def _dask(scheduler: str | None, workers: int) -> Iterator[Any]:
    """Give Prefect's runner for a Dask cluster: the one at the address, or one of this machine."""
    # Here, so that the flow can be deployed from a machine that has no Dask.
    from distributed import LocalCluster  # noqa: PLC0415
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415

    if scheduler is not None:
        yield DaskTaskRunner(address=scheduler)
        return
    # Before the session opens, and once for all iterations.
    # Its page is on a free port: the usual one may be taken.
    cluster = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    )
    with cluster:
        yield DaskTaskRunner(address=cluster.scheduler_address)


if __name__ == "__main__":
    with service_at_hand():
        dask_subspace()
