"""Every primitive class of the client, on a device of 127 qubits, alone and in a session."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import EstimatorV2, Executor, QuantumProgram, Session
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.fake_provider import FakeSherbrooke

from .conftest import legacy_sampler

OBSERVABLE = SparsePauliOp.from_list([("ZZII", 1.0), ("XXXX", 0.5), ("IYYI", 0.25), ("IIII", -1.0)])
ANSATZ = efficient_su2(4, reps=2)
VALUES = np.linspace(0, 1, ANSATZ.num_parameters)
EXACT = Statevector(ANSATZ.assign_parameters(VALUES)).expectation_value(OBSERVABLE).real
LAYOUT = [3, 4, 5, 6]


@pytest.fixture(scope="module")
def to_isa():
    """Transpile for the 127-qubit device, onto four of its qubits."""
    return generate_preset_pass_manager(
        optimization_level=1, backend=FakeSherbrooke(), initial_layout=LAYOUT
    ).run


@pytest.fixture(scope="module")
def isa_ansatz(to_isa) -> QuantumCircuit:
    """Return the ansatz on 127 qubits."""
    return to_isa(ANSATZ)


@pytest.fixture(scope="module")
def isa_measured(to_isa) -> QuantumCircuit:
    """Return the ansatz with four measurements on 127 qubits."""
    return to_isa(ANSATZ.measure_all(inplace=False))


@pytest.fixture(params=["job mode", "session"])
def mode(request, service):
    """Give the device itself, and a session on it."""
    backend = service.backend("ibm_sherbrooke")
    if request.param == "job mode":
        yield backend
    else:
        with Session(backend=backend) as session:
            yield session


def legacy_estimator(mode) -> EstimatorV2:
    """Return the estimator the service runs by itself, deprecated as it is."""
    with pytest.warns(DeprecationWarning, match="EstimatorV2"):
        return EstimatorV2(mode=mode)


@pytest.mark.parametrize("make_estimator", [legacy_estimator, Estimator])
def test_both_estimators_estimate_within_their_error(mode, isa_ansatz, make_estimator):
    """With default options an estimate lies within five standard errors of the exact value."""
    observable = OBSERVABLE.apply_layout(isa_ansatz.layout)

    [result] = make_estimator(mode).run([(isa_ansatz, observable, VALUES)]).result(timeout=60)

    assert () == np.shape(result.data.evs)
    assert 0 < result.data.stds < 0.05
    assert pytest.approx(result.data.evs, abs=5 * result.data.stds) == EXACT


@pytest.mark.parametrize("make_sampler", [legacy_sampler, Sampler])
def test_both_samplers_sample_the_state(mode, isa_measured, make_sampler):
    """With default options the frequencies of outcomes are those of the state."""
    [result] = make_sampler(mode).run([(isa_measured, VALUES)]).result(timeout=60)

    counts = result.data.meas.get_counts()
    exact = Statevector(ANSATZ.assign_parameters(VALUES)).probabilities_dict()
    assert 4096 == sum(counts.values())
    assert exact == pytest.approx({k: counts.get(k, 0) / 4096 for k in exact}, abs=0.05)


def test_the_executor_runs_plain_circuits(mode, isa_measured):
    """A quantum program of one circuit gives its shots, register by register."""
    program = QuantumProgram(shots=100)
    program.append_circuit_item(isa_measured, circuit_arguments=np.stack([VALUES, VALUES + 1]))

    [item] = Executor(mode).run(program).result(timeout=60)

    assert (2, 100, 4) == item["meas"].shape


def test_an_estimator_broadcasts_observables_against_parameters(service, isa_ansatz):
    """Shapes of parameter values and observables broadcast as in every Estimator."""
    terms = [[SparsePauliOp("ZIII")], [SparsePauliOp("IIIZ")], [SparsePauliOp("XXII")]]
    observables = [[op.apply_layout(isa_ansatz.layout) for op in row] for row in terms]
    values = np.stack([VALUES, VALUES + 0.5])
    estimator = legacy_estimator(service.backend("ibm_sherbrooke"))

    [result] = estimator.run([(isa_ansatz, observables, values)], precision=0.02).result()

    states = [Statevector(ANSATZ.assign_parameters(row)) for row in values]
    exact = [[state.expectation_value(op).real for state in states] for (op,) in terms]
    assert (3, 2) == result.data.evs.shape
    assert np.allclose(exact, result.data.evs, atol=0.1)


def test_precision_sets_the_shots_and_the_error(service, isa_ansatz):
    """A precision p is reached with 1/p**2 shots per group of commuting terms."""
    observable = SparsePauliOp("XXXX").apply_layout(isa_ansatz.layout)
    estimator = legacy_estimator(service.backend("ibm_sherbrooke"))

    [result] = estimator.run([(isa_ansatz, observable, VALUES)], precision=0.1).result()

    assert 100 == result.metadata["shots"]
    assert 0.1 == pytest.approx(float(result.data.stds), rel=0.2)


def test_without_noise_the_estimator_is_exact(make_emulator, connect, isa_ansatz):
    """With noise "none" the service's estimator gives exact values, with no error."""
    backend = connect(make_emulator(noise="none")).backend("ibm_sherbrooke")
    observable = OBSERVABLE.apply_layout(isa_ansatz.layout)

    [result] = legacy_estimator(backend).run([(isa_ansatz, observable, VALUES)]).result()

    assert pytest.approx(float(result.data.evs), abs=1e-9) == EXACT
    assert 0.0 == float(result.data.stds)


def test_the_same_seed_gives_the_same_results(make_emulator, connect, isa_measured):
    """Equal jobs in equal order give equal shots with equal seeds, and others with another."""
    shots = []
    for seed in (7, 7, 8):
        backend = connect(make_emulator(seed=seed)).backend("ibm_sherbrooke")
        [result] = legacy_sampler(backend).run([(isa_measured, VALUES)]).result()
        shots.append(result.data.meas.get_bitstrings())

    assert shots[0] == shots[1] != shots[2]


def test_measuring_every_qubit_of_a_large_device_is_no_burden(service, to_isa):
    """A register of 127 bits, most of them from idle qubits, is sampled as any other."""
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    isa_circuit = to_isa(circuit)
    isa_circuit.measure_all()

    job = legacy_sampler(service.backend("ibm_sherbrooke")).run([isa_circuit], shots=1000)

    counts = job.result()[0].data.meas.get_int_counts()
    entangled = sum(1 << qubit for qubit in LAYOUT)
    assert {0, entangled} == set(counts)
    assert 500 == pytest.approx(counts[0], abs=100)


def test_a_circuit_that_reacts_to_measurements_runs(service):
    """Control flow on classical bits is simulated: a qubit measured one is flipped back."""
    circuit = QuantumCircuit(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    circuit.measure(0, 1)

    job = legacy_sampler(service.backend("ibm_manila")).run([circuit], shots=50)

    assert {"01": 50} == job.result()[0].data.c.get_counts()
