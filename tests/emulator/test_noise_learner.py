"""The program `noise-learner`, as the client's classes ask for it."""

import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit_ibm_runtime import NoiseLearner, NoiseLearnerV3
from samplomatic import Twirl

from prefect_qsession.emulator import TimingSettings

from .conftest import one_bit


@pytest.fixture
def timed(make_bench):
    """Return a bench whose jobs take their time by their executions."""
    return make_bench(timing=TimingSettings(0.0, 0.001))


def test_boxes_are_learnt_to_have_no_noise(timed):
    """One result for each box: a layer of gates by its Paulis, a measurement by its flips."""
    qubits, bits = QuantumRegister(5, "q"), ClassicalRegister(2, "c")
    circuit = QuantumCircuit(qubits, bits)
    with circuit.box([Twirl(dressing="left")]):
        circuit.cx(1, 0)
        circuit.noop(4)
    with circuit.box([Twirl(dressing="left")]):
        circuit.measure([2, 3], bits)

    learner = NoiseLearnerV3(timed.backend)
    learner.options.num_randomizations, learner.options.shots_per_randomization = 2, 10
    learner.options.layer_pair_depths = [0, 4]
    job = learner.run(circuit.data)
    timed.clock.advance(1)
    layer, measurement = job.result().data

    noise = layer.to_pauli_lindblad_map()
    assert (3, 3 * 3 + 9) == (noise.num_qubits, len(layer))
    assert {0.0} == set(noise.rates)
    assert ("lindblad", "trex") == (
        layer.metadata["learning_protocol"],
        measurement.metadata["learning_protocol"],
    )
    assert (2, 2) == (len(measurement), measurement.to_pauli_lindblad_map().num_qubits)
    [record] = timed.emulator.jobs
    assert 2 * 10 * (9 * 2 + 1) == record.executions


def test_layers_of_circuits_are_learnt_to_have_no_noise(timed):
    """The older kind: each layer of gates on pairs of qubits, the most frequent first."""
    circuit = QuantumCircuit(5)
    for _ in range(2):
        circuit.cx(0, 1)
        circuit.cx(1, 2)
        circuit.cx(3, 4)
    circuit.cx(0, 1)
    with pytest.warns(DeprecationWarning, match="NoiseLearner class"):
        learner = NoiseLearner(timed.backend, {"num_randomizations": 2, "layer_pair_depths": [1]})

    job = learner.run([circuit])
    timed.clock.advance(100)
    first, second = job.result().data

    assert ([0, 1], [1, 2, 3, 4]) == (first.qubits, second.qubits)
    assert [1, 2] == [len(layer.circuit.data) for layer in (first, second)]
    assert {0.0} == set(second.error.rates)
    assert 4 * 3 + 3 * 9 == len(second.error.generators)
    assert 2 * 128 * 9 * 2 == timed.emulator.jobs[0].executions


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"circuits": "all"},
        {"circuits": [1]},
        {"circuits": [], "options": {"num_randomizations": -1}},
        {"circuits": [], "options": []},
        {"schema_version": "v0.1"},
        {"schema_version": "v0.3"},
        {"schema_version": "v0.3", "instructions": {"circuit_b64": "", "qpy_version": 17}},
    ],
)
def test_what_cannot_be_learnt_fails_as_not_loadable(timed, params):
    """Broken parameters are their user's fault."""
    body = {"program_id": "noise-learner", "backend": "ibm_manila", "params": params}
    timed.service._get_api_client()._session.post("/jobs", json=body)
    timed.clock.advance(10)

    assert [1506] == [job.reason_code for job in timed.emulator.jobs]


def test_the_noise_of_an_estimators_circuits_is_learnt_in_a_dry_run_too(timed):
    """A dry run is the same program on the mock of the device."""
    with pytest.warns(DeprecationWarning, match="NoiseLearner class"):
        learner = NoiseLearner(timed.backend)
    job = learner.run([transpile(one_bit(), timed.backend)], dry_run=True)
    timed.clock.advance(10)

    assert [] == list(job.result().data)
    assert "mock_manila" == timed.emulator.jobs[0].backend
