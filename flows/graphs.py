"""
The graphs that the QAOA flow cuts: random ones, or any from a file.

A graph file has an edge on each line, two nodes and a weight: `0 1 0.5`. Nodes are counted from 0;
a weight that is left out is 1; what follows a `#` is a comment.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray
from qiskit.quantum_info import SparsePauliOp

EXACT_NODES = 20


class InvalidGraph(ValueError):
    """A graph that cannot be read, or that has nothing to cut."""

    def __init__(self, source: str | Path, problem: str, advice: str) -> None:
        super().__init__(f"Graph {source}: {problem} {advice}")


@dataclass(frozen=True)
class Graph:
    """Nodes, and the weight of each edge between two of them."""

    nodes: int
    edges: tuple[tuple[int, int, float], ...]

    @property
    def operator(self) -> SparsePauliOp:
        """
        The operator whose value in a basis state is minus the weight of the cut, up to `constant`.

        A node on the other side is a qubit in 1. The lowest energy is the largest cut.
        """
        terms = [("ZZ", [one, other], weight / 2) for one, other, weight in self.edges]
        return SparsePauliOp.from_sparse_list(terms, num_qubits=self.nodes)

    @property
    def constant(self) -> float:
        """Half the weight of all edges: a cut weighs `constant` minus its value of `operator`."""
        return sum(weight for *_, weight in self.edges) / 2

    def cuts(self, sides: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the weight of each cut; a row of `sides` says of every node where it is."""
        weights = np.zeros(len(sides))
        for one, other, weight in self.edges:
            weights += weight * (sides[:, one] ^ sides[:, other])
        return weights

    def largest_cut(self) -> float | None:
        """Return the weight of the largest cut, by trying all; None beyond 20 nodes."""
        if self.nodes > EXACT_NODES:
            return None
        numbers = np.arange(2 ** (self.nodes - 1))  # the last node stays where it is
        sides = (numbers[:, None] >> np.arange(self.nodes) & 1).astype(bool)
        return float(self.cuts(sides).max())


def random_graph(nodes: int, probability: float, seed: int) -> Graph:
    """
    Return a graph whose edges are there with a probability, weighing from 0.1 to 1.

    Raises:
        InvalidGraph: chance has given it no edge.
    """
    drawn = rx.undirected_gnp_random_graph(nodes, probability, seed=seed)
    if not drawn.num_edges():
        raise InvalidGraph(
            f"of seed {seed}", "it has no edge.", "Take another seed, or more nodes."
        )
    weights = np.random.default_rng(seed).uniform(0.1, 1.0, drawn.num_edges()).round(2)
    pairs = sorted(drawn.edge_list())
    return Graph(nodes, tuple((*pair, float(it)) for pair, it in zip(pairs, weights, strict=True)))


def graph_from_file(path: Path, max_nodes: int | None = None) -> Graph:
    """
    Return the graph written in a file; its form is shown at the top of this module.

    Args:
        path: The file.
        max_nodes: Refuse a larger graph, say one that does not fit the device.

    Raises:
        InvalidGraph: the file cannot be read, or has no edges that can be cut.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise InvalidGraph(path, f"{error}.", "Check the path.") from error
    edges = [edge for number, line in enumerate(lines, 1) if (edge := _edge(path, number, line))]
    if not edges:
        raise InvalidGraph(path, "it has no edge.", "Write one on a line: 0 1 0.5")
    nodes = 1 + max(max(one, other) for one, other, _ in edges)
    if max_nodes is not None and nodes > max_nodes:
        raise InvalidGraph(
            path,
            f"it has {nodes} nodes and the limit is {max_nodes}.",
            "Choose a smaller graph or a larger backend.",
        )
    return Graph(nodes, tuple(edges))


def _edge(path: Path, number: int, line: str) -> tuple[int, int, float] | None:
    match line.partition("#")[0].split():
        case []:
            return None
        case [one, other, *weights] if len(weights) <= 1:
            try:
                edge = int(one), int(other), float(weights[0] if weights else 1)
            except ValueError:
                pass
            else:
                if min(edge[:2]) >= 0 and edge[0] != edge[1] and math.isfinite(edge[2]):
                    return edge
    raise InvalidGraph(path, f"line {number} is {line!r}.", "Write two nodes and a weight: 0 1 0.5")
