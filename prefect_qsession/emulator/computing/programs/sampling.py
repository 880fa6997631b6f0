"""
Shots of a circuit, for rows of parameter values.

A circuit is split into independent parts. A part of one qubit is a product of two-by-two matrices,
done for all rows at once; larger parts go to Aer. Each part's shots are put into random order, as
its counts come without one; together they are as good as shots of the whole.
"""

import math
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Gate, Parameter
from qiskit_aer import AerError

from prefect_qsession.emulator.computing.programs.circuits import (
    Component,
    components,
    restricted_to,
    simulator,
)

_MAX_SEED = 2**31 - 1


def sample_registers(
    circuit: QuantumCircuit, values: np.ndarray, shots: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """
    Return the bits of each classical register, by name.

    *values* has the circuit's parameters along its last axis; the arrays have its other axes, then
    shots, then bits, bit 0 first.
    """
    shape = values.shape[:-1]
    bits = sample(circuit, values.reshape(math.prod(shape), values.shape[-1]), shots, rng)
    return {
        register.name: bits[..., [circuit.find_bit(bit).index for bit in register]].reshape(
            *shape, shots, register.size
        )
        for register in circuit.cregs
    }


def sample(
    circuit: QuantumCircuit, rows: np.ndarray, shots: int, rng: np.random.Generator
) -> np.ndarray:
    """Return bits by row, shot and classical bit. Bits that nothing writes are zero."""
    bits = np.zeros((len(rows), shots, circuit.num_clbits), dtype=bool)
    column = {parameter: k for k, parameter in enumerate(circuit.parameters)}
    for part in components(circuit):
        if not part.clbits:
            continue
        probabilities = _one_qubit_probabilities(part, rows, column)
        if probabilities is None:
            bits[..., part.clbits] = _sample_part(circuit, part, rows, shots, rng)
        elif probabilities.any():
            draws = rng.random((len(rows), shots))
            bits[..., part.clbits[0]] = draws < probabilities[:, np.newaxis]
    return bits


def run_rows(circuit: QuantumCircuit, rows: np.ndarray, *, shots: int, seed: int) -> Any:
    """Run a circuit on Aer with each row of parameter values; one experiment per row."""
    binds = {parameter: rows[:, k].tolist() for k, parameter in enumerate(circuit.parameters)}
    circuits, parameter_binds = ([circuit], [binds]) if binds else ([circuit] * len(rows), None)
    run = simulator(seed).run(circuits, shots=shots, parameter_binds=parameter_binds)
    result = run.result()
    if not result.success:
        raise AerError(result.status)
    return result


def _one_qubit_probabilities(
    part: Component, rows: np.ndarray, column: dict[Parameter, int]
) -> np.ndarray | None:
    """Return the probability of one for each row; `None` if the part is not that simple."""
    *gates, measurement = part.instructions
    if len(part.qubits) != 1 or measurement.operation.name != "measure" or len(part.clbits) != 1:
        return None
    zero = np.ones(len(rows), dtype=complex)
    one = np.zeros(len(rows), dtype=complex)
    for gate in gates:
        angle = _angle(gate, rows, column)
        if angle is not None:
            one = one * np.exp(1j * angle)
        elif isinstance(gate.operation, Gate) and not gate.operation.params:
            (a, b), (c, d) = gate.operation.to_matrix()
            zero, one = a * zero + b * one, c * zero + d * one
        else:
            return None
    probabilities: np.ndarray = np.clip(np.abs(one) ** 2, 0, 1)
    return probabilities


def _angle(
    gate: CircuitInstruction, rows: np.ndarray, column: dict[Parameter, int]
) -> np.ndarray | float | None:
    """Return the angle of a rotation about Z by row, `None` if the gate is not such a one."""
    if gate.operation.name != "rz":
        return None
    (angle,) = gate.operation.params
    if isinstance(angle, Parameter):
        return rows[:, column[angle]]
    return float(angle) if isinstance(angle, (int, float)) else None


def _sample_part(
    circuit: QuantumCircuit, part: Component, rows: np.ndarray, shots: int, rng: np.random.Generator
) -> np.ndarray:
    small = restricted_to(circuit, part.qubits)
    own = {parameter.name for parameter in small.parameters}
    columns = [k for k, parameter in enumerate(circuit.parameters) if parameter.name in own]
    seed = int(rng.integers(_MAX_SEED))
    result = run_rows(small, rows[:, columns], shots=shots, seed=seed)
    width = -(-circuit.num_clbits // 8)
    sampled = np.empty((len(rows), shots, len(part.clbits)), dtype=bool)
    for row in range(len(rows)):
        counts = result.data(row)["counts"]
        packed = b"".join(int(outcome, 16).to_bytes(width, "little") for outcome in counts)
        outcomes = np.frombuffer(packed, dtype=np.uint8).reshape(len(counts), width)
        bits = np.unpackbits(outcomes, axis=1, bitorder="little")[:, part.clbits]
        sampled[row] = rng.permutation(np.repeat(bits, list(counts.values()), axis=0))
    return sampled
