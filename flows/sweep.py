"""
The dissociation curve of hydrogen, as a batch: every job is known beforehand.

With one rotation in the ansatz the energy is a sine of its angle, so three angles tell where it is
lowest, and no job has to wait for the answer of another: Ostaszewski et al., Quantum 5, 391 (2021).
A batch bills only the time of its jobs, and the QPU does them when it has time:

    python -m flows.sweep
"""

from typing import Annotated

import numpy as np
from prefect import get_run_logger, task, unmapped
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from flows.at_hand import service_at_hand
from flows.molecules import exact_ground_energy, hydrogen
from flows.vqe import prepare
from prefect_qsession import estimator, retry_if_it_can_help, session_flow, track

ANGLES = np.array([-np.pi / 3, 0.0, np.pi / 3])
"""A third of the sine's period from each other."""

BondLength = Annotated[float, Field(ge=0.2, le=2.85)]


class Point(BaseModel):
    """One molecule of the curve; energies are in hartree, the bond length in angstrom."""

    bond_length: float
    energy: float
    exact_energy: float


@task(
    task_run_name="energy at {bond_length:.2f} Å",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_if_it_can_help,
)
def lowest_energy(
    bond_length: float,  # noqa: ARG001 - in the task run's name
    ansatz: QuantumCircuit,
    operator: SparsePauliOp,
    precision: float,
) -> float:
    """Return the lowest energy of an ansatz with one rotation, as one job on the QPU."""
    [pub] = estimator().run([(ansatz, operator, ANGLES[:, None])], precision=precision).result()
    energies = pub.data.evs
    # A rotation exp(-iθP) gives a + b cos 2θ + c sin 2θ; a sum over a whole period projects.
    b, c = (2 / 3 * energies @ wave(2 * ANGLES) for wave in (np.cos, np.sin))
    lowest = float(energies.mean() - np.hypot(b, c))
    track(energy=lowest)
    return lowest


@session_flow(name="dissociation-curve", mode="batch", persist_result=True)
def sweep(
    shortest: BondLength = 0.4,
    longest: BondLength = 2.0,
    points: Annotated[int, Field(ge=2, le=200)] = 9,
    precision: Annotated[float, Field(gt=0)] = 0.01,
) -> list[Point]:
    """
    Measure the energy of hydrogen over its bond length.

    Args:
        shortest: Bond length at one end of the curve, in angstrom.
        longest: Bond length at the other end.
        points: How many molecules to measure, one job for each.
        precision: Standard error of an energy at one of its three angles, in hartree.
    """
    lengths = np.linspace(shortest, longest, points).round(4).tolist()
    operators = [hydrogen(length).operator for length in lengths]
    ansatzes, isa_operators = zip(*(prepare(it, rotations=1) for it in operators), strict=True)

    track(total=points)
    energies = lowest_energy.map(lengths, ansatzes, isa_operators, unmapped(precision)).result()

    curve = [
        Point(bond_length=length, energy=energy, exact_energy=exact_ground_energy(operator))
        for length, energy, operator in zip(lengths, energies, operators, strict=True)
    ]
    create_table_artifact(
        [{name: round(value, 5) for name, value in point} for point in curve],
        key="dissociation-curve",
        description="Hydrogen: bond length in angstrom, energies in hartree.",
    )
    lowest = min(curve, key=lambda point: point.energy)
    get_run_logger().info("Lowest: %.5f hartree at %.2f Å.", lowest.energy, lowest.bond_length)
    return curve


if __name__ == "__main__":
    with service_at_hand():
        sweep()
