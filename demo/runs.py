"""The two flows of the demonstration."""

import numpy as np

from flows.molecules import exact_ground_energy, hydrogen
from flows.vqe import energy, prepare, vqe
from prefect_qsession import session_flow

__all__ = ["FAILS_AT", "PlannedFailure", "failing_vqe", "vqe"]

FAILS_AT = 5


class PlannedFailure(RuntimeError):
    """Raised by `failing_vqe` in the middle of its work, with the best energy until then."""

    def __init__(self, best: float, exact: float) -> None:
        super().__init__(f"iteration {FAILS_AT} fails, as planned")
        self.best = best
        self.exact = exact


@session_flow(name="vqe-that-fails")
def failing_vqe() -> None:
    """Evaluate some energies of H2, and fail."""
    molecule = hydrogen(0.75)
    ansatz, operator = prepare(molecule.operator, rotations=1)
    rng = np.random.default_rng(7)
    energies: list[float] = []
    for iteration in range(1, FAILS_AT):
        parameters = rng.normal(0.0, 0.3, ansatz.num_parameters)
        energies.append(energy(iteration, ansatz, operator, parameters, 0.01))
    raise PlannedFailure(min(energies), exact_ground_energy(molecule.operator))
