"""Circuits in canonical form: what is done to which bit, nothing of how they came about."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import (
    CASE_DEFAULT,
    Annotation,
    ClassicalRegister,
    Clbit,
    ControlFlowOp,
    Duration,
    Instruction,
    ParameterExpression,
    SwitchCaseOp,
)
from qiskit.circuit.classical import expr
from samplomatic import annotations

from prefect_qsession.ibm.canonical_form import canonical, digest, unlike
from prefect_qsession.ibm.expressions import ordered

_PARTS = {
    expr.Value: ("value",),
    expr.Cast: ("operand",),
    expr.Unary: ("op", "operand"),
    expr.Binary: ("op", "left", "right"),
    expr.Index: ("target", "index"),
}

_ANNOTATIONS = {
    annotations.ChangeBasis,
    annotations.InjectLocalClifford,
    annotations.InjectNoise,
    annotations.Tag,
    annotations.Twirl,
}
"""Those whose public attributes are all there is to them."""


class _Seen(threading.local):
    """Of this thread alone: others that it starts may live longer than what it does."""

    digests: dict[int, tuple[QuantumCircuit, str]] | None = None
    """By identity, each with what it was made of: no other circuit gets that identity meanwhile."""


_seen = _Seen()


@contextmanager
def each_circuit_seen_once() -> Iterator[None]:
    """
    Have every circuit looked at only once inside, which takes milliseconds for a large one.

    No longer than for one request: a circuit does not tell when an instruction is replaced.
    """
    before, _seen.digests = _seen.digests, {}
    try:
        yield
    finally:
        _seen.digests = before


@canonical.register(QuantumCircuit)
def _circuit(circuit: Any) -> Any:
    clbits = {bit: position for position, bit in enumerate(circuit.clbits)}
    return (
        "circuit",
        len(circuit.qubits),
        len(clbits),
        [(register.name, [clbits[bit] for bit in register]) for register in circuit.cregs],
        _variables(circuit),
        # The order in which values are bound.
        [parameter.name for parameter in circuit.parameters],
        canonical(circuit.global_phase),
        _digest(circuit, clbits),
    )


def _digest(circuit: Any, clbits: Mapping[Any, int]) -> str:
    """Return a digest of the instructions: of what is done to which bit."""
    known = _seen.digests
    if known and (found := known.get(id(circuit))):
        return found[1]
    qubits = {bit: position for position, bit in enumerate(circuit.qubits)}
    # As text at once: a list of lists sets the garbage collector off, which takes as long again.
    parts: list[str] = []
    for instruction in circuit.data:
        at = [qubits[bit] for bit in instruction.qubits]
        if instruction.is_standard_gate():
            # The short way for nearly all: making the gate's object takes longer than the rest.
            params = [one if type(one) is float else canonical(one) for one in instruction.params]
            parts.append(f"{instruction.name!r} {instruction.label!r} {params} {at}")
        else:
            into = [clbits[bit] for bit in instruction.clbits]
            parts.append(f"{canonical_operation(instruction.operation, clbits)} {at} {into}")
    made = digest("\n".join(parts))
    if known is not None:
        known[id(circuit)] = (circuit, made)
    return made


def _variables(circuit: Any) -> Any:
    kinds = {
        "input": circuit.iter_input_vars(),
        "captured": circuit.iter_captures(),
        "declared": (*circuit.iter_declared_vars(), *circuit.iter_declared_stretches()),
    }
    return [(kind, one.name, repr(one.type)) for kind, found in kinds.items() for one in found]


def canonical_operation(operation: Any, clbits: Mapping[Any, int]) -> Any:
    """Return a gate, or whatever else stands in a circuit, as such; `clbits` are positions."""
    if not isinstance(operation, Instruction):
        return unlike(operation)
    if isinstance(operation, ControlFlowOp):
        names = ("condition", "target", "duration", "unit", "annotations")
        inner = [_placed(getattr(operation, name, None), clbits) for name in names]
        if isinstance(operation, SwitchCaseOp):
            for labels, _ in operation.cases_specifier():
                inner.append(
                    [int(one) if isinstance(one, int) else canonical(one) for one in labels]
                )
    else:
        try:
            definition = operation.definition
        except Exception:  # noqa: BLE001 - it is computed, and whatever fails there fails the job
            return unlike(operation)
        inner = [canonical(definition), getattr(operation, "unit", None)]
    params = [_placed(one, clbits) for one in operation.params]
    return (operation.name, operation.label, params, inner)


def _placed(value: Any, clbits: Mapping[Any, int]) -> Any:
    """Return in that form what may speak of the classical bits of its circuit."""
    match value:
        case Clbit():
            return ("clbit", clbits[value])
        case ClassicalRegister():
            return ("register", value.name, [clbits[bit] for bit in value])
        case (Clbit() | ClassicalRegister() as target, int(number)):
            # A copy of a circuit has True where its original has 1.
            return [_placed(target, clbits), int(number)]
        case expr.Expr():
            return _node(value, clbits)
    return canonical(value)


def _node(node: Any, clbits: Mapping[Any, int]) -> Any:
    if isinstance(node, expr.Var) and not node.standalone:
        return _placed(node.var, clbits)
    if isinstance(node, expr.Var | expr.Stretch):
        # By name: it also has an id, which is another one in each circuit that is built.
        return ("variable", node.name, repr(node.type))
    if parts := _PARTS.get(type(node)):
        inner = [_placed(getattr(node, part), clbits) for part in parts]
        return (type(node).__name__, repr(node.type), inner)
    return unlike(node)


@canonical.register(ParameterExpression)
def _expression(expression: Any) -> Any:
    # Qiskit writes every number of an expression in full.
    return ("expression", *ordered(expression))


canonical.register(Duration, lambda it: ("duration", it.value(), it.unit()))
canonical.register(type(CASE_DEFAULT), lambda _: ("default",))


@canonical.register(Annotation)
def _annotation(annotation: Any) -> Any:
    if type(annotation) not in _ANNOTATIONS:
        return unlike(annotation)
    names = [name for name in dir(annotation) if not name.startswith("_")]
    return ("annotation", [(name, canonical(getattr(annotation, name))) for name in names])
