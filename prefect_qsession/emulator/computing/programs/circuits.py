"""What a circuit must be for a device, and what it must become for a simulator."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import Bit, CircuitInstruction, Gate, Measure, Qubit, Reset
from qiskit_aer import AerSimulator

from prefect_qsession.emulator.computing.programs.failures import not_in_target_isa

# Without effect on an ideal processor, and often laid over every qubit of the device.
_IDLE_INSTRUCTIONS = frozenset({"barrier", "delay"})
_PLAIN_OPERATIONS = (Gate, Measure, Reset)
MAX_SIMULATION_MEGABYTES = 4096


def simulator(seed: int) -> AerSimulator:
    """Return a simulator that fails on what does not fit its memory, instead of taking it."""
    return AerSimulator(
        max_memory_mb=MAX_SIMULATION_MEGABYTES, seed_simulator=seed, max_parallel_threads=1
    )


class DeviceFacts:
    """A device's size and instructions, against which circuits are checked."""

    def __init__(self, text: str) -> None:
        facts: dict[str, Any] = json.loads(text)
        self.num_qubits: int = facts["num_qubits"]
        self._places = {
            name: None if places is None else frozenset(map(tuple, places))
            for name, places in facts["instructions"].items()
        }

    def check(self, circuit: QuantumCircuit) -> None:
        """Raise `JobFailure` unless the device can run the circuit as it is."""
        if circuit.num_qubits > self.num_qubits:
            why = f"{circuit.num_qubits} qubits on a device of {self.num_qubits}"
            raise not_in_target_isa(why)
        self._check_block(circuit, tuple(range(circuit.num_qubits)))

    def couples(self, one: int, other: int) -> bool:
        """Whether some instruction acts on both qubits."""
        return any(
            places is not None and ((one, other) in places or (other, one) in places)
            for places in self._places.values()
        )

    def _check_block(self, block: QuantumCircuit, physical: tuple[int, ...]) -> None:
        index = {qubit: physical[i] for i, qubit in enumerate(block.qubits)}
        for instruction in block.data:
            operation = instruction.operation
            qubits = tuple(index[qubit] for qubit in instruction.qubits)
            if operation.name not in self._places:
                why = f"{operation.name!r} is not an instruction of the device"
                raise not_in_target_isa(why)
            places = self._places[operation.name]
            if places is not None and qubits not in places:
                why = f"{operation.name!r} cannot act on qubits {list(qubits)}"
                raise not_in_target_isa(why)
            for inner in getattr(operation, "blocks", ()):
                self._check_block(inner, qubits)


def used_qubits(circuit: QuantumCircuit) -> list[int]:
    """Return the qubits on which anything happens."""
    touched = (qubit for instruction in effects(circuit) for qubit in instruction.qubits)
    return sorted({circuit.find_bit(qubit).index for qubit in touched})


def restricted_to(circuit: QuantumCircuit, qubits: Sequence[int]) -> QuantumCircuit:
    """
    Return what happens on *qubits*, on a circuit of only those, in their order.

    A circuit for a device of 127 qubits that uses four becomes one of four qubits. Classical bits
    and registers stay as they are. No instruction may act on other qubits too.
    """
    small = QuantumCircuit([Qubit() for _ in qubits], circuit.clbits, *circuit.cregs)
    for variable in circuit.iter_declared_vars():
        small.add_uninitialized_var(variable)
    new = {circuit.qubits[i]: small.qubits[k] for k, i in enumerate(qubits)}
    for instruction in effects(circuit):
        if instruction.qubits and instruction.qubits[0] not in new:
            continue
        small._append(  # noqa: SLF001 - the only append that is quick enough for loops
            instruction.replace(qubits=[new[qubit] for qubit in instruction.qubits])
        )
    return small


@dataclass
class Component:
    """Qubits that nothing connects to the others, and the classical bits they write."""

    qubits: list[int]
    clbits: list[int]
    instructions: list[CircuitInstruction]


def components(circuit: QuantumCircuit) -> list[Component]:
    """
    Split a circuit into parts that are independent of each other.

    The outcomes of different parts are independent too, so each can be simulated alone: all of a
    large device's qubits may be twirled and measured though a few are entangled. Control flow
    reads classical bits, so it connects all of them.
    """
    parent: dict[Bit, Bit] = {}

    def root(bit: Bit) -> Bit:
        while (above := parent.setdefault(bit, bit)) is not bit:
            parent[bit] = bit = parent[above]
        return bit

    touched: list[tuple[Bit, CircuitInstruction]] = []
    for instruction in effects(circuit):
        bits: list[Bit] = [*instruction.qubits, *instruction.clbits]
        if not isinstance(instruction.operation, _PLAIN_OPERATIONS):
            bits.extend(circuit.clbits)
        if bits:
            touched.append((bits[0], instruction))
            first = root(bits[0])
            for bit in bits[1:]:
                parent[root(bit)] = first
    parts: dict[Bit, Component] = {}
    for bit in parent:
        part = parts.setdefault(root(bit), Component([], [], []))
        index = circuit.find_bit(bit).index
        (part.qubits if isinstance(bit, Qubit) else part.clbits).append(index)
    for bit, instruction in touched:
        parts[root(bit)].instructions.append(instruction)
    return list(parts.values())


def effects(circuit: QuantumCircuit) -> Iterator[CircuitInstruction]:
    """Yield the instructions that do something on an ideal processor."""
    return (i for i in circuit.data if i.operation.name not in _IDLE_INSTRUCTIONS)
