"""Whether a circuit can run on a backend; if it can, that is found out once for what is in it."""

import gc
import weakref

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import HamiltonianGate, HGate
from qiskit.quantum_info import Clifford
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeTorino

from prefect_qsession.exceptions import NotISA
from prefect_qsession.ibm.isa import MOST_CHECKED, _checked, check_isa


def entangled():
    """Return what one of two devices can do: it has a CX, the other a CZ."""
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    return circuit


def test_every_device_is_asked():
    """What one can do another may not."""
    circuit, manila, torino = entangled(), FakeManilaV2(), FakeTorino()
    for _ in range(2):
        check_isa([circuit], manila)
        with pytest.raises(NotISA, match="cx"):
            check_isa([circuit], torino)


def test_a_circuit_that_was_changed_is_looked_at_again():
    """Neither device has a Hadamard gate."""
    circuit, manila = entangled(), FakeManilaV2()
    check_isa([circuit], manila)
    circuit.h(0)
    with pytest.raises(NotISA, match="h on"):
        check_isa([circuit], manila)
    circuit.data.pop()
    check_isa([circuit], manila)


def test_a_refusal_is_not_remembered():
    """The device may have learnt the gate."""
    circuit, manila = entangled(), FakeManilaV2()
    circuit.h(0)
    with pytest.raises(NotISA):
        check_isa([circuit], manila)
    manila.target.add_instruction(HGate())

    check_isa([circuit], manila)


def test_what_is_foreign_is_not_looked_into():
    """A gate that cannot be defined is refused like any other."""
    circuit = entangled()
    circuit.append(HamiltonianGate(np.eye(2), Parameter("t")), [0])

    with pytest.raises(NotISA, match="hamiltonian"):
        check_isa([circuit], FakeManilaV2())


@pytest.mark.parametrize(
    "operation", [Clifford(HGate()), Gate("own", 1, [])], ids=["clifford", "own"]
)
def test_what_no_device_knows_is_refused(operation):
    """Whatever it is."""
    circuit = entangled()
    circuit.append(operation, [0])

    with pytest.raises(NotISA):
        check_isa([circuit], FakeManilaV2())


def test_what_is_remembered_is_bounded():
    """And goes with the backend."""
    manila = FakeManilaV2()
    for number in range(MOST_CHECKED + 10):
        circuit = QuantumCircuit(1)
        circuit.rz(number / 100, 0)
        check_isa([circuit], manila)

    assert 0 < len(_checked[manila][1]) <= MOST_CHECKED + 1
    backend = weakref.ref(manila)
    del manila
    gc.collect()
    assert backend() is None
