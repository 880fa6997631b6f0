"""
The largest cut of a weighted graph by QAOA: SciPy proposes angles, a QPU returns cuts.

A cut puts every node on one of two sides, and weighs as much as the edges between them. Each
evaluation is one Prefect task and one job, and all of them run in one session:

    python -m flows.qaoa
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field
from qiskit import QuantumCircuit
from qiskit.circuit.library import qaoa_ansatz
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from scipy.optimize import minimize

from flows.at_hand import service_at_hand
from flows.graphs import Graph, graph_from_file, random_graph
from prefect_qsession import (
    current_backend,
    estimator,
    retry_if_it_can_help,
    sampler,
    session_flow,
    track,
)


class Cut(BaseModel):
    """The best cut that was sampled at the best angles."""

    nodes: int
    one_side: list[int]
    """The nodes on the side of node 0."""
    weight: float
    largest: float | None
    """The weight of the largest cut there is, by trying all; None for graphs too large for it."""
    mean_weights: list[float]
    """The mean weight of a cut, at every evaluation of the optimiser."""
    angles: list[float]


@task(
    task_run_name="sample {iteration}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_if_it_can_help,
)
def sample(
    iteration: int,  # noqa: ARG001 - in the task run's name
    circuit: QuantumCircuit,
    angles: NDArray[np.float64],
    shots: int,
) -> NDArray[np.bool_]:
    """Return which side every node is on, a row for each shot, as one job on the QPU."""
    [pub] = sampler().run([(circuit, angles)], shots=shots).result()
    return np.asarray(pub.data.meas.to_bool_array(order="little"))


@task(
    task_run_name="estimate {iteration}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_if_it_can_help,
)
def estimate(
    iteration: int,  # noqa: ARG001 - in the task run's name
    circuit: QuantumCircuit,
    operator: SparsePauliOp,
    angles: NDArray[np.float64],
    shots: int,
) -> float:
    """Return the operator's expectation value, as one job on the QPU."""
    [pub] = estimator().run([(circuit, operator, angles)], precision=shots**-0.5).result()
    return float(pub.data.evs)


@session_flow(name="qaoa", persist_result=True)
def qaoa(
    nodes: Annotated[int, Field(ge=2, le=100)] = 8,
    edge_probability: Annotated[float, Field(gt=0, le=1)] = 0.5,
    graph_file: Path | None = None,
    layers: Annotated[int, Field(ge=1, le=20)] = 2,
    cost: Literal["sampler", "estimator"] = "sampler",
    max_evaluations: Annotated[int, Field(ge=1, le=10_000)] = 40,
    shots: Annotated[int, Field(ge=1, le=100_000)] = 1000,
    seed: int = 7,
) -> Cut:
    """
    Find a large cut of a weighted graph.

    Args:
        nodes: How many the random graph has.
        edge_probability: How likely it is that two nodes of the random graph have an edge.
        graph_file: Instead of a random graph, one from a file: an edge on each line, as 0 1 0.5.
        layers: Layers of the QAOA circuit, known as p; each has two angles.
        cost: Which primitive measures the mean weight of a cut.
        max_evaluations: How often the optimiser may ask, but at least two more than there are
            angles, which COBYLA needs; one more job samples the cut.
        shots: How often each job measures.
        seed: Draws the random graph.
    """
    log = get_run_logger()
    # What takes a while comes first: the session bills from the start of its first job.
    backend = current_backend()
    if graph_file is not None:
        graph = graph_from_file(graph_file, max_nodes=backend.num_qubits)
    else:
        graph = random_graph(nodes, edge_probability, seed)
    largest = graph.largest_cut()
    ansatz = qaoa_ansatz(graph.operator, reps=layers)
    passes = generate_preset_pass_manager(3, backend=backend, seed_transpiler=1)
    circuit = passes.run(ansatz.measure_all(inplace=False))
    unmeasured = passes.run(ansatz)
    operator = graph.operator.apply_layout(unmeasured.layout)
    mean_weights: list[float] = []

    def negative_weight(angles: NDArray[np.float64]) -> float:
        iteration = len(mean_weights) + 1
        if cost == "sampler":
            weight = float(graph.cuts(sample(iteration, circuit, angles, shots)).mean())
        else:
            weight = graph.constant - estimate(iteration, unmeasured, operator, angles, shots)
        mean_weights.append(weight)
        track(cut=weight, iteration=iteration)
        log.info("Evaluation %d: a cut weighs %.3f on average.", iteration, weight)
        return -weight

    evaluations = max(max_evaluations, ansatz.num_parameters + 2)
    track(total=evaluations)
    found = minimize(
        negative_weight,
        _ramp(graph, layers),
        method="COBYLA",
        options={"maxiter": evaluations, "rhobeg": 0.3},
    )

    sides = sample(len(mean_weights) + 1, circuit, found.x, shots)
    weights = graph.cuts(sides)
    best = sides[weights.argmax()]
    log.info("The best cut weighs %.3f; the largest there is: %s.", weights.max(), largest)
    return Cut(
        nodes=graph.nodes,
        one_side=np.flatnonzero(best == best[0]).tolist(),
        weight=float(weights.max()),
        largest=largest,
        mean_weights=mean_weights,
        angles=found.x.tolist(),
    )


def _ramp(graph: Graph, layers: int) -> list[float]:
    """
    Return the first angles: those of annealing, from all mixing to all cost.

    In Qiskit's order: those of the mixers, then those of the operator. The mixers turn backwards,
    because the first state is the highest of theirs and the cut is the lowest of the operator.
    """
    along = (np.arange(layers) + 0.5) / layers
    mean_weight = np.mean([abs(weight) for *_, weight in graph.edges])
    return [*(0.75 * (along - 1)), *(0.75 * along / mean_weight)]


if __name__ == "__main__":
    with service_at_hand():
        qaoa()
