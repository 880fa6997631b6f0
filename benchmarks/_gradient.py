"""A gradient step by parameter shifts, asked for in three ways."""

from collections.abc import Mapping

import numpy as np
from prefect import Flow, task, unmapped
from prefect.cache_policies import NO_CACHE
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from prefect_qsession import QiskitRuntimeCredentials, current_backend, estimator, session_flow

BACKEND = "ibm_manila"
PRECISION = 0.05
WINDOW = "500ms"


@task(cache_policy=NO_CACHE)
def evaluate(point: list[float], ansatz: QuantumCircuit, operator: SparsePauliOp) -> float:
    """Return the energy at a point."""
    [pub] = estimator().run([(ansatz, operator, point)], precision=PRECISION).result()
    return float(pub.data.evs)


class Gradient:
    """
    A gradient that takes so many evaluations.

    Args:
        environment: What a client of the service needs.
        evaluations: Two for each parameter.
    """

    def __init__(self, environment: Mapping[str, str], evaluations: int) -> None:
        credentials = QiskitRuntimeCredentials.from_environment(environment)
        shifts = np.vstack([np.eye(evaluations // 2), -np.eye(evaluations // 2)]) * np.pi / 2
        points = [list(map(float, row)) for row in shifts + 0.3]

        def body(way: str) -> list[float]:
            ansatz, operator = _work(evaluations // 2)
            if way == "sequential":
                return [evaluate(point, ansatz, operator) for point in points]
            return evaluate.map(points, unmapped(ansatz), unmapped(operator)).result()

        self._flows: dict[str, Flow[[str], list[float]]] = {
            way: session_flow(credentials, backend=BACKEND, pack=pack, name=way)(body)
            for way, pack in (("sequential", None), ("mapped", None), ("packed", WINDOW))
        }

    def run(self, way: str) -> list[float]:
        """Have the gradient computed in a flow run of its own, and return its evaluations."""
        return self._flows[way](way)


def _work(parameters: int) -> tuple[QuantumCircuit, SparsePauliOp]:
    """Return an ISA circuit of so many angles, on one qubit, and what is measured of it."""
    width = current_backend().num_qubits
    circuit = QuantumCircuit(width)
    for angle in ParameterVector("angle", parameters):
        circuit.sx(0)
        circuit.rz(angle, 0)
        circuit.sx(0)
    return circuit, SparsePauliOp.from_sparse_list([("Z", [0], 1.0)], width)
