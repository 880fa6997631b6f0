"""
The two loops that `benchmarks.iteration` compares.

Import it once the environment says which home Prefect has: Prefect reads that when it is imported.
"""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import IBMBackend, Session
from qiskit_ibm_runtime.executor_estimator import Estimator

from flows.molecules import hydrogen
from flows.vqe import energy
from prefect_qsession import QiskitRuntimeCredentials, session_flow

BACKEND = "ibm_sherbrooke"
PRECISION = 0.02


@dataclass(frozen=True)
class Work:
    """One job's circuit and operator, and the parameters of one job after the other."""

    ansatz: QuantumCircuit
    operator: SparsePauliOp
    sequence: list[NDArray[np.float64]]

    def first(self, iterations: int) -> "Work":
        """Return the beginning of it."""
        return Work(self.ansatz, self.operator, self.sequence[:iterations])


def make_work(backend: IBMBackend, iterations: int) -> Work:
    """
    Transpile an ansatz of four parameters for H2, and draw a sequence of them; runs no job.

    It is not the ansatz of `flows.vqe`: figures are to stay comparable when that one improves.
    """
    operator = hydrogen(0.75).operator
    passes = generate_preset_pass_manager(optimization_level=3, backend=backend, seed_transpiler=1)
    ansatz = passes.run(efficient_su2(operator.num_qubits, su2_gates=["ry"], reps=1))
    rng = np.random.default_rng(7)
    sequence = list(rng.uniform(-np.pi, np.pi, (iterations, ansatz.num_parameters)))
    return Work(ansatz, operator.apply_layout(ansatz.layout), sequence)


def run_bare(backend: IBMBackend, work: Work) -> list[float]:
    """Evaluate the sequence by the client alone; return when each value had arrived."""
    arrivals: list[float] = []
    with Session(backend=backend) as session:
        estimator = Estimator(mode=session)
        for parameters in work.sequence:
            pub = (work.ansatz, work.operator, parameters)
            float(estimator.run([pub], precision=PRECISION).result()[0].data.evs)
            arrivals.append(perf_counter())
    return arrivals


def run_ours(credentials: QiskitRuntimeCredentials, work: Work) -> list[float]:
    """Evaluate the sequence by a session flow, each value a task; return when each had arrived."""

    @session_flow(credentials, backend=BACKEND)
    def evaluate() -> list[float]:
        arrivals: list[float] = []
        for iteration, parameters in enumerate(work.sequence, start=1):
            energy(iteration, work.ansatz, work.operator, parameters, PRECISION)
            arrivals.append(perf_counter())
        return arrivals

    arrivals = evaluate()
    # Prefect sends logs and events in the background. None are to be under way in the next loop,
    # nor at the end, when the server is gone and Prefect would try again for a minute.
    APILogWorker.drain_all()
    EventsWorker.drain_all()
    return arrivals
