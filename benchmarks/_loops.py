"""A COBYLA VQE, driven by the bare client and by a session flow."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import EstimatorV2, IBMBackend, QiskitRuntimeService, Session
from qiskit_ibm_runtime.executor_estimator import Estimator
from scipy.optimize import minimize

from flows.molecules import hydrogen
from flows.vqe import energy
from prefect_qsession import QiskitRuntimeCredentials, session_flow
from tests.harness.processes import resident_mib

BACKEND = "ibm_sherbrooke"
PRECISION = 0.02
STACK_WALK = "USAGE_DATA_OPT_OUT"

Seen = dict[int, tuple[float, float]]
"""Time and memory, by the number of iterations."""
Evaluate = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True)
class Work:
    """One job's circuit and operator, and where the optimiser begins."""

    ansatz: QuantumCircuit
    operator: SparsePauliOp
    first: NDArray[np.float64]


@dataclass
class Timeline:
    """When each value had arrived, and what the line had counted after the first and the last."""

    count: Callable[[], int]
    arrivals: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)

    def minimise(self, evaluate: Evaluate, work: Work, iterations: int) -> None:
        """Have COBYLA ask exactly so often."""

        def cost(parameters: NDArray[np.float64]) -> float:
            value = evaluate(parameters)
            self.arrivals.append(perf_counter())
            if len(self.arrivals) in (1, iterations):
                self.requests.append(self.count())
            return value

        # With a tolerance that noise never meets, it goes on to the end.
        minimize(cost, work.first, method="COBYLA", tol=1e-12, options={"maxiter": iterations})


def bare_backend(environment: dict[str, str]) -> IBMBackend:
    """Connect as a user without this package does, by the environment alone."""
    os.environ |= environment
    return QiskitRuntimeService().backend(BACKEND)


def make_work(backend: IBMBackend) -> Work:
    """
    Transpile an ansatz of four parameters for H2; runs no job.

    It is not the ansatz of `flows.vqe`: figures are to stay comparable when that one improves.
    """
    operator = hydrogen(0.75).operator
    passes = generate_preset_pass_manager(optimization_level=3, backend=backend, seed_transpiler=1)
    ansatz = passes.run(efficient_su2(operator.num_qubits, su2_gates=["ry"], reps=1))
    first = np.random.default_rng(7).uniform(-np.pi, np.pi, ansatz.num_parameters)
    return Work(ansatz, operator.apply_layout(ansatz.layout), first)


@contextmanager
def _without_us() -> Iterator[None]:
    """Take back what ours sets for the whole process; who does without us has not heard of it."""
    opted_out = os.environ.pop(STACK_WALK, None)
    try:
        yield
    finally:
        if opted_out is not None:
            os.environ[STACK_WALK] = opted_out


def connect(
    environment: dict[str, str],
) -> tuple[IBMBackend, QiskitRuntimeCredentials, Work]:
    """Connect in both ways, and transpile what both evaluate."""
    backend = bare_backend(environment)
    return backend, QiskitRuntimeCredentials.from_environment(environment), make_work(backend)


def run_bare(backend: IBMBackend, work: Work, timeline: Timeline, iterations: int) -> None:
    """Run the VQE by the client alone, as its documents show it."""
    with _without_us(), Session(backend=backend) as session:
        estimator = Estimator(mode=session)

        def evaluate(parameters: NDArray[np.float64]) -> float:
            pub = (work.ansatz, work.operator, parameters)
            return float(estimator.run([pub], precision=PRECISION).result()[0].data.evs)

        timeline.minimise(evaluate, work, iterations)


def run_ours(
    credentials: QiskitRuntimeCredentials, work: Work, timeline: Timeline, iterations: int
) -> None:
    """Run the VQE by a session flow, each value a task."""

    @session_flow(credentials, backend=BACKEND)
    def vqe() -> None:
        def evaluate(parameters: NDArray[np.float64]) -> float:
            number = len(timeline.arrivals) + 1
            return energy(number, work.ansatz, work.operator, parameters, PRECISION)

        timeline.minimise(evaluate, work, iterations)

    vqe()
    drain()


class Look:
    """Note the time and the memory after some of so many iterations, the first and the last too."""

    def __init__(self, length: int) -> None:
        self._at = {1, 100, 500, 1000, 2000, 5000, length}
        self._done = 0
        self.seen: Seen = {}

    def __call__(self) -> None:
        """Note that an iteration is over."""
        self._done += 1
        if self._done in self._at:
            self.seen[self._done] = (perf_counter(), resident_mib())


def parameters(work: Work, length: int) -> list[NDArray[np.float64]]:
    """Draw the parameters of one evaluation after the other; none comes twice."""
    rng = np.random.default_rng(11)
    return list(rng.uniform(-np.pi, np.pi, (length, work.ansatz.num_parameters)))


def repeat_bare(backend: IBMBackend, work: Work, length: int) -> Seen:
    """Evaluate so often by the client alone, with its legacy Estimator."""
    look = Look(length)
    with _without_us(), Session(backend=backend) as session:
        estimator = EstimatorV2(mode=session)
        for each in parameters(work, length):
            job = estimator.run([(work.ansatz, work.operator, each)], precision=PRECISION)
            float(job.result()[0].data.evs)
            look()
    return look.seen


def evaluate_ours(
    credentials: QiskitRuntimeCredentials,
    work: Work,
    sequence: list[NDArray[np.float64]],
    look: Callable[[], object],
) -> None:
    """
    Evaluate these by a session flow, each in a task, and look after each.

    By the Estimator that the service post-processes, which is the one that peers know.
    """

    @session_flow(credentials, backend=BACKEND)
    def evaluate() -> None:
        for number, each in enumerate(sequence):
            energy(number, work.ansatz, work.operator, each, PRECISION, legacy=True)
            look()

    evaluate()
    drain()


def repeat_ours(credentials: QiskitRuntimeCredentials, work: Work, length: int) -> Seen:
    """Evaluate so often by a session flow, with the same Estimator."""
    look = Look(length)
    evaluate_ours(credentials, work, parameters(work, length), look)
    return look.seen


def hydrogen_terms() -> list[tuple[str, float]]:
    """Return the operator of `make_work` in plain words."""
    return [(label, float(value.real)) for label, value in hydrogen(0.75).operator.to_list()]


@task(task_run_name="energy {iteration}", cache_policy=NO_CACHE)
def nothing(
    iteration: int,
    ansatz: QuantumCircuit,
    operator: SparsePauliOp,
    parameters: NDArray[np.float64],
    precision: float,
) -> float:
    """Do what `energy` does, but for the job."""
    del ansatz, operator, precision
    value = float(parameters[0])
    get_run_logger().info("Evaluation %d: %.5f hartree.", iteration, value)
    return value


def repeat_prefect(work: Work, length: int) -> Seen:
    """Run so many tasks that do nothing, in a flow of Prefect's own."""
    look = Look(length)

    @flow
    def evaluate() -> None:
        for number, each in enumerate(parameters(work, length)):
            nothing(number, work.ansatz, work.operator, each, PRECISION)
            look()

    evaluate()
    drain()
    return look.seen


def drain() -> None:
    """
    Send what Prefect sends in the background.

    None of its logs and events are to be under way in the next loop, nor at the end, when the
    server is gone and Prefect would try again for a minute.
    """
    APILogWorker.drain_all()
    EventsWorker.drain_all()
