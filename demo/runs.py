"""The flows of the demonstration; `python -m demo.runs` runs the one that is to be killed."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

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
    """Minimise the energy of H2, and fail at an iteration in between."""
    molecule = hydrogen(0.75)
    exact = exact_ground_energy(molecule.operator)
    ansatz, operator = prepare(molecule.operator, rotations=1)
    energies: list[float] = []

    def cost(parameters: NDArray[np.float64]) -> float:
        if len(energies) + 1 == FAILS_AT:
            raise PlannedFailure(min(energies), exact)
        energies.append(energy(len(energies) + 1, ansatz, operator, parameters, 0.01))
        return energies[-1]

    minimize(cost, np.zeros(ansatz.num_parameters), method="COBYLA", options={"rhobeg": 0.5})


if __name__ == "__main__":
    vqe()
