"""
An ansatz that the operator itself suggests: few parameters, so that an optimiser bears shot noise.

It starts from the basis state of lowest energy, and turns it along the directions in which the
operator couples basis states most strongly. This is the idea of qubit coupled cluster: Ryabinkin,
Yen, Genin and Izmaylov, J. Chem. Theory Comput. 14, 6317 (2018).
"""

from collections import defaultdict
from itertools import combinations

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import SparsePauliOp

from flows.molecules import EXACT_QUBITS


def coupled_cluster(operator: SparsePauliOp, rotations: int) -> QuantumCircuit:
    """
    Return a circuit with one parameter for each of the operator's strongest couplings.

    With all parameters zero it prepares the basis state of lowest energy; beyond 16 qubits, where
    that is not searched for, the state of all zeros.

    Args:
        operator: A real, Hermitian operator.
        rotations: How many couplings to take at the most, strongest first.
    """
    strongest = couplings(operator)[:rotations]
    angles = ParameterVector("θ", len(strongest))
    circuit = QuantumCircuit(operator.num_qubits, name="coupled-cluster")
    for qubit in lowest_basis_state(operator):
        circuit.x(qubit)
    for angle, qubits in zip(angles, strongest, strict=True):
        turn = PauliEvolutionGate(generator(qubits, operator.num_qubits), time=angle)
        circuit.append(turn, circuit.qubits)
    return circuit


def generator(qubits: frozenset[int], num_qubits: int) -> SparsePauliOp:
    """Return the Pauli operator that flips these qubits, for a rotation by `exp(-iθP)`."""
    # One Y makes the rotation real, as the ground state of a real operator is.
    flip = ("Y" + "X" * (len(qubits) - 1), sorted(qubits), 1.0)
    return SparsePauliOp.from_sparse_list([flip], num_qubits=num_qubits)


def couplings(operator: SparsePauliOp) -> list[frozenset[int]]:
    """
    Return the sets of qubits to flip together: first the operator's own, strongest first, then what
    two of them flip when one follows the other.
    """
    strengths: dict[frozenset[int], float] = defaultdict(float)
    for flips, coefficient in zip(operator.paulis.x, operator.coeffs, strict=True):
        strengths[frozenset(int(qubit) for qubit in np.flatnonzero(flips))] += abs(coefficient)
    direct = sorted(strengths, key=lambda qubits: -strengths[qubits])
    in_two_steps = [one ^ other for one, other in combinations(direct, 2)]
    return [qubits for qubits in dict.fromkeys(direct + in_two_steps) if qubits]


def lowest_basis_state(operator: SparsePauliOp) -> list[int]:
    """Return the qubits that are 1 in the basis state of lowest energy."""
    if operator.num_qubits > EXACT_QUBITS:
        return []
    lowest = int(operator.to_matrix(sparse=True).diagonal().real.argmin())
    return [qubit for qubit in range(operator.num_qubits) if lowest >> qubit & 1]
