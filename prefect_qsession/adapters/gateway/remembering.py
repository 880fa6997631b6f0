"""
What was found out about a circuit, for as long as the circuit stays as it is.

A circuit does not tell when one of its instructions is replaced. But Qiskit compares it with a copy
in a sixth of the time that it takes to look at every instruction; and that is done three times for
each job: to see whether it can run, to know it again, and to find its program.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from qiskit import QuantumCircuit
from qiskit.circuit import Barrier, Measure, Reset

KEPT = 16
"""Circuits that are remembered at a time."""

_COMPARED = {Barrier, Measure, Reset}
"""What a comparison sees all of, like standard gates. It misses how long a delay is, say."""

_Fact = TypeVar("_Fact")


@dataclass(frozen=True)
class _Known:
    copy: QuantumCircuit
    labels: list[str | None]
    facts: dict[Hashable, Any] = field(default_factory=dict)

    def is_still(self, circuit: QuantumCircuit) -> bool:
        """
        Return whether the circuit's instructions are those of the copy.

        Angles count down to the last bit, but for the sign of a zero. In an expression of
        parameters Qiskit takes numbers for equal that are less than 1e-14 apart.
        """
        return bool(
            circuit.data == self.copy.data
            # An instruction is compared by its bits, and known by where those stand.
            and circuit.qubits == self.copy.qubits
            and circuit.clbits == self.copy.clbits
            # Not compared by Qiskit.
            and _labels(circuit) == self.labels
        )


class RememberedCircuits:
    """Remember what was found out about the instructions of the latest circuits; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[int, _Known] = OrderedDict()
        """By identity; that of a circuit that is gone may be another's by now."""

    def recall(
        self, circuit: QuantumCircuit, what: Hashable, find_out: Callable[[], _Fact]
    ) -> _Fact:
        """
        Return a fact about a circuit; found out only if it is not known of it as it is now.

        Args:
            circuit: Looked at, and never changed.
            what: Which fact. It must follow from the instructions, and from what is named here.
            find_out: Finds it out; what it raises is raised, and not remembered.
        """
        key = id(circuit)
        with self._lock:
            known = self._known.get(key)
        if known is None or not known.is_still(circuit):
            if not all(map(_is_compared, circuit.data)):
                return find_out()
            known = _Known(circuit.copy(), _labels(circuit))
        if what not in known.facts:
            known.facts[what] = find_out()
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        fact: _Fact = known.facts[what]
        return fact


remembered = RememberedCircuits()
"""Of all flow runs in this process."""


def _labels(circuit: QuantumCircuit) -> list[str | None]:
    return [instruction.label for instruction in circuit.data]


def _is_compared(instruction: Any) -> bool:
    return instruction.is_standard_gate() or instruction.operation.base_class in _COMPARED
