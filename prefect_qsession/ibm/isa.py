"""Whether a backend can run a circuit: the client-side primitives ask it of nobody."""

from collections.abc import Iterable, Mapping
from math import pi
from typing import Any
from weakref import WeakKeyDictionary

from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, ParameterExpression
from qiskit_ibm_runtime import IBMBackend

from prefect_qsession.exceptions import NotISA
from prefect_qsession.ibm.canonical_form import canonical, digest

_checked: "WeakKeyDictionary[IBMBackend, tuple[Any, set[str]]]" = WeakKeyDictionary()
"""Of each backend, the target that it had, and the content of what was found to be ISA there."""

_EVERYWHERE = {"barrier", "store"}
"""What a circuit may hold on any backend."""

_LARGEST_RZZ = pi / 2 + 1e-10
"""What the gate is calibrated for, and the error of a sum (IBM's guide to fractional gates)."""

MOST_CHECKED = 1000
"""Circuits of a backend that are remembered at a time."""


def check_isa(circuits: Iterable[QuantumCircuit], backend: IBMBackend) -> None:
    """
    Make sure that every circuit uses only gates and qubits that the backend has.

    One that does not would queue, fail, and be paid for. What was found to be so is not looked at
    again, as long as the backend has the same target.

    Raises:
        NotISA: One does not; the message names the circuit and its first foreign instruction.
    """
    target = backend.target
    target_before, checked = _checked.get(backend, (None, set[str]()))
    if target_before is not target or len(checked) > MOST_CHECKED:
        _, checked = _checked[backend] = (target, set())
    known = {*target.operation_names, *_EVERYWHERE}
    for circuit in circuits:
        # What is foreign is not looked into: it may be large, or fail there.
        content = (
            digest(repr(canonical(circuit))) if known.issuperset(circuit.count_ops()) else None
        )
        if content in checked:
            continue
        if reason := foreign_in(circuit, target):
            raise NotISA(circuit.name, backend.name, reason)
        if content is not None:
            checked.add(content)


def foreign_in(circuit: QuantumCircuit, target: Any) -> str | None:
    """Return what a device does not have and a circuit asks for, the first of it; or None."""
    if circuit.num_qubits > target.num_qubits:
        return f"It has {circuit.num_qubits} qubits, and the backend {target.num_qubits}."
    return _foreign(circuit, target, {bit: place for place, bit in enumerate(circuit.qubits)})


def _foreign(circuit: QuantumCircuit, target: Any, places: Mapping[Any, int]) -> str | None:
    for instruction in circuit.data:
        name, at = instruction.name, tuple(places[bit] for bit in instruction.qubits)
        if name not in _EVERYWHERE and not target.instruction_supported(name, at):
            return f"The instruction {name} on qubits {at} is not supported."
        if name == "rzz":
            [angle] = instruction.params
            bound = not isinstance(angle, ParameterExpression)
            if bound and not 0.0 <= angle <= _LARGEST_RZZ:
                return (
                    f"The instruction rzz on qubits {at} takes angles from 0 to pi/2, not {angle}."
                )
        if instruction.is_control_flow() and isinstance(instruction.operation, ControlFlowOp):
            for block in instruction.operation.blocks:
                if found := _foreign(block, target, dict(zip(block.qubits, at, strict=False))):
                    return found
    return None
