"""What a job is made of that takes no time to compute."""

from qiskit import QuantumCircuit


def one_bit(num_qubits: int = 1) -> QuantumCircuit:
    """Return an ISA circuit of a device of so many qubits: one X, and what it did."""
    circuit = QuantumCircuit(num_qubits, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit
