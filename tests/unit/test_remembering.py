"""What was found out about a circuit is found out once; tests of fingerprints hold the rest."""

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeTorino

from prefect_qsession.adapters.gateway import check_isa
from prefect_qsession.adapters.gateway.remembering import KEPT, RememberedCircuits
from prefect_qsession.exceptions import NotISA


def flipped(*gates):
    """Return a circuit of one qubit that is measured."""
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    for gate in gates:
        circuit.append(gate, [0])
    circuit.measure(0, 0)
    return circuit


class Finding:
    """Counts how often it is asked, and answers with that."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


def test_a_fact_is_found_out_once():
    """As long as the circuit stays as it is; each fact by itself."""
    remembered, circuit, first, second = RememberedCircuits(), flipped(), Finding(), Finding()

    assert [1] * 3 == [remembered.recall(circuit, "first", first) for _ in range(3)]
    assert [1] * 3 == [remembered.recall(circuit, "second", second) for _ in range(3)]
    circuit.x(0)
    assert 2 == remembered.recall(circuit, "first", first)
    assert 2 == remembered.recall(circuit, "second", second)


def test_of_a_circuit_that_cannot_be_compared_nothing_is_remembered():
    """Its gates may change inside."""
    remembered, circuit, finding = RememberedCircuits(), flipped(Gate("own", 1, [])), Finding()

    assert [1, 2, 3] == [remembered.recall(circuit, "fact", finding) for _ in range(3)]


def test_what_could_not_be_found_out_is_tried_again():
    """An error is no fact."""
    remembered, circuit = RememberedCircuits(), flipped()

    with pytest.raises(ZeroDivisionError):
        remembered.recall(circuit, "fact", lambda: 1 / 0)
    assert 1 == remembered.recall(circuit, "fact", Finding())


def test_the_latest_circuits_are_remembered():
    """Nothing grows with the number of circuits."""
    remembered = RememberedCircuits()
    circuits = [flipped() for _ in range(KEPT + 1)]
    for number, circuit in enumerate(circuits):
        remembered.recall(circuit, "number", lambda number=number: number)

    assert KEPT == remembered.recall(circuits[-1], "number", lambda: "again")
    assert "again" == remembered.recall(circuits[0], "number", lambda: "again")


def test_whether_a_circuit_can_run_is_asked_of_each_device_and_after_each_change():
    """One device has a CX, the other a CZ; neither has a Hadamard gate."""
    circuit, manila, torino = QuantumCircuit(2), FakeManilaV2(), FakeTorino()
    circuit.cx(0, 1)
    for _ in range(2):
        check_isa([circuit], manila)
        with pytest.raises(NotISA, match="cx"):
            check_isa([circuit], torino)
    circuit.h(0)
    with pytest.raises(NotISA, match="h on"):
        check_isa([circuit], manila)
    circuit.data.pop()
    check_isa([circuit], manila)
