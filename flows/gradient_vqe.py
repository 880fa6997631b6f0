"""
The ground-state energy of a molecule by gradient descent, by the parameter-shift rule.

A step asks for the energy where it is and at two points for each parameter. All of them are mapped
at once, so that many PUBs are in flight, in one session:

    python -m flows.gradient_vqe
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from prefect import get_run_logger, task, unmapped
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from flows.at_hand import service_at_hand
from flows.molecules import exact_ground_energy, hydrogen, lithium_hydride
from flows.vqe import prepare
from prefect_qsession import estimator, retry_if_it_can_help, session_flow, track

SHIFT = np.pi / 4
"""
A rotation `exp(-iθP)` makes the energy a sine of 2θ, and the slope of that is the difference of its
values an eighth of a turn to either side: Schuld et al., Phys. Rev. A 99, 032331 (2019).
"""


class Descent(BaseModel):
    """Where the descent has led; energies are in hartree."""

    molecule: str
    energy: float
    """At the last parameters."""
    exact_energy: float
    energies: list[float]
    """Before each step, and after the last."""
    gradients: list[float]
    """The length of the gradient at each step."""
    parameters: list[float]


@task(
    task_run_name="step {step} point {point}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_if_it_can_help,
)
def energy(
    step: int,  # noqa: ARG001 - in the task run's name
    point: int,  # noqa: ARG001 - in the task run's name
    ansatz: QuantumCircuit,
    operator: SparsePauliOp,
    parameters: NDArray[np.float64],
    precision: float,
) -> float:
    """Return the operator's expectation value in the ansatz's state."""
    [pub] = estimator().run([(ansatz, operator, parameters)], precision=precision).result()
    return float(pub.data.evs)


@session_flow(name="gradient-vqe", persist_result=True)
def gradient_vqe(
    molecule: Literal["H2", "LiH"] = "H2",
    bond_length: Annotated[float, Field(ge=0.2, le=2.85)] = 0.75,
    rotations: Annotated[int, Field(ge=1, le=50)] = 2,
    steps: Annotated[int, Field(ge=1, le=1000)] = 8,
    learning_rate: Annotated[float, Field(gt=0)] = 0.2,
    precision: Annotated[float, Field(gt=0)] = 0.01,
    seed: int = 7,
) -> Descent:
    """
    Find the ground-state energy of a molecule by its gradient.

    Args:
        molecule: H2 (2 qubits) or LiH (4 qubits).
        bond_length: Bond length of H2, in angstrom.
        rotations: Parameters of the ansatz at the most; a step asks for two energies for each.
        steps: How many the descent takes.
        learning_rate: How far a step goes, in radians for a gradient of one hartree per radian.
        precision: Standard error of one energy, in hartree.
        seed: Draws the first parameters.
    """
    log = get_run_logger()
    problem = hydrogen(bond_length) if molecule == "H2" else lithium_hydride()
    ansatz, operator = prepare(problem.operator, rotations)
    parameters = np.random.default_rng(seed).normal(0.0, 0.1, ansatz.num_parameters)
    shifts = SHIFT * np.eye(len(parameters))
    energies: list[float] = []
    gradients: list[float] = []

    for step in range(1, steps + 1):
        points = [parameters, *(parameters + shifts), *(parameters - shifts)]
        here, *around = energy.map(
            unmapped(step),
            range(len(points)),
            unmapped(ansatz),
            unmapped(operator),
            points,
            unmapped(precision),
        ).result()
        above, below = np.split(np.array(around), 2)
        gradient = above - below
        parameters = parameters - learning_rate * gradient
        energies.append(here)
        gradients.append(float(np.linalg.norm(gradient)))
        track(energy=here, gradient=gradients[-1], iteration=step, total=steps)
        log.info("Step %d: %.5f hartree, gradient %.4f.", step, here, gradients[-1])

    final = energy(steps + 1, 0, ansatz, operator, parameters, precision / 3)
    log.info("%s: %.5f hartree after %d steps.", problem.name, final, steps)
    return Descent(
        molecule=problem.description,
        energy=final,
        exact_energy=exact_ground_energy(problem.operator),
        energies=[*energies, final],
        gradients=gradients,
        parameters=parameters.tolist(),
    )


if __name__ == "__main__":
    with service_at_hand():
        gradient_vqe()
