"""The graphs that the QAOA flow cuts: what a cut weighs, and every bad file."""

import numpy as np
import pytest
from qiskit.quantum_info import Statevector

from flows.graphs import Graph, InvalidGraph, graph_from_file, random_graph

TRIANGLE = Graph(3, ((0, 1, 1.0), (1, 2, 2.0), (0, 2, 4.0)))


@pytest.fixture
def graph_file(tmp_path):
    """Return a function that writes a graph file and returns its path."""

    def write(content):
        path = tmp_path / "graph.txt"
        path.write_text(content)
        return path

    return write


def test_a_cut_weighs_as_much_as_the_edges_between_its_sides():
    """Each row of sides is one cut."""
    sides = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=bool)

    assert [0.0, 5.0, 3.0, 6.0, 6.0] == TRIANGLE.cuts(sides).tolist()


def test_the_largest_cut_of_a_triangle_leaves_its_lightest_edge():
    """Three nodes on two sides: one edge is not cut."""
    assert TRIANGLE.largest_cut() == pytest.approx(6.0)


def test_the_largest_cut_of_a_graph_without_odd_cycles_takes_every_edge():
    """A ring of six nodes is cut everywhere."""
    ring = Graph(6, tuple((node, (node + 1) % 6, 0.5) for node in range(6)))

    assert ring.largest_cut() == pytest.approx(3.0)


def test_beyond_twenty_nodes_the_largest_cut_is_not_searched_for():
    """It would take a minute and then years."""
    assert random_graph(21, 0.5, seed=1).largest_cut() is None


@pytest.mark.parametrize("number", range(8))
def test_the_operator_tells_what_a_cut_weighs(number):
    """Qubit by qubit as the nodes are numbered: half of all weights, less the operator's value."""
    sides = np.array([[number >> node & 1 for node in range(3)]], dtype=bool)
    value = Statevector.from_int(number, 8).expectation_value(TRIANGLE.operator).real

    assert TRIANGLE.constant - value == pytest.approx(TRIANGLE.cuts(sides)[0])


def test_the_same_seed_gives_the_same_random_graph():
    """And another gives another."""
    assert random_graph(8, 0.5, seed=3) == random_graph(8, 0.5, seed=3)
    assert random_graph(8, 0.5, seed=3) != random_graph(8, 0.5, seed=4)


def test_a_file_has_an_edge_on_each_line(graph_file):
    """Comments and empty lines are left out; a weight is 1 if it is not said."""
    path = graph_file("# a path of three\n0 1 0.5\n\n1 2  # light\n")

    assert Graph(3, ((0, 1, 0.5), (1, 2, 1.0))) == graph_from_file(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("# nothing\n", "it has no edge"),
        ("0 1 heavy\n", "line 1 is '0 1 heavy'"),
        ("0 1\n1 2 3 4\n", "line 2 is '1 2 3 4'"),
        ("0 0 1.0\n", "line 1 is '0 0 1.0'"),
        ("-1 2 1.0\n", "line 1 is '-1 2 1.0'"),
        ("0 1 nan\n", "line 1 is '0 1 nan'"),
        ("0 1 1.0\n3 9 1.0\n", "10 nodes and the limit is 5"),
    ],
    ids=["empty", "no number", "too many", "a loop", "negative", "not finite", "too large"],
)
def test_a_bad_graph_file_is_refused(content, problem, graph_file):
    """The error names the file and what is wrong with it."""
    path = graph_file(content)

    with pytest.raises(InvalidGraph, match=problem) as refused:
        graph_from_file(path, max_nodes=5)
    assert str(path) in str(refused.value)


def test_a_graph_file_that_is_not_there_is_refused(tmp_path):
    """The error names it."""
    with pytest.raises(InvalidGraph, match="No such file"):
        graph_from_file(tmp_path / "missing.txt")


def test_a_random_graph_without_an_edge_is_refused():
    """There is nothing to cut in it."""
    with pytest.raises(InvalidGraph, match="it has no edge"):
        random_graph(2, 0.001, seed=1)
