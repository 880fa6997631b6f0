"""A filled program is the one that the client makes, or there is none."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime.executor_estimator.prepare import prepare
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qiskit_ibm_runtime.options_models import EstimatorOptions

from prefect_qsession.adapters.gateway.programs import KEPT, PreparedPrograms, _content

RANDOM = np.random.default_rng(7)
OPERATOR = SparsePauliOp(["ZZI", "XXI", "IZZ", "YIY"], [1.0, 0.5, -0.25, 0.125])


def isa(circuit):
    """Return the circuit for a device, with the operator laid out alike."""
    passes = generate_preset_pass_manager(1, FakeManilaV2(), seed_transpiler=1)
    laid_out = passes.run(circuit)
    return laid_out, OPERATOR.apply_layout(laid_out.layout)


def expressions():
    """Return a circuit whose angles are computed, in an order that is not the alphabet's."""
    b, a = Parameter("b"), Parameter("a")
    circuit = QuantumCircuit(3)
    circuit.rx(2 * b + a, 0)
    circuit.rz(a**2, 0)
    circuit.cx(0, 1)
    circuit.ry(b / 3, 2)
    return circuit


ANSATZ = isa(efficient_su2(3, reps=1))
COMPUTED = isa(expressions())
BARE = isa(QuantumCircuit(3))


def pub(prepared, shape=(), precision=None):
    """Return a PUB with values that no other has."""
    circuit, operator = prepared
    values = RANDOM.uniform(-np.pi, np.pi, (*shape, circuit.num_parameters))
    return EstimatorPub.coerce((circuit, operator, values), precision)


def options(**changes):
    """Return options of the client's."""
    return EstimatorOptions(**changes)


WORKS = {
    "one": lambda: [pub(ANSATZ)],
    "sweep": lambda: [pub(ANSATZ, (3,))],
    "grid": lambda: [pub(ANSATZ, (2, 2), precision=0.1)],
    "several": lambda: [pub(ANSATZ), pub(BARE), pub(COMPUTED, (2,)), pub(ANSATZ)],
    "computed": lambda: [pub(COMPUTED)],
    "no parameters": lambda: [pub(BARE)],
    "many observables": lambda: [
        EstimatorPub.coerce(
            (ANSATZ[0], [[ANSATZ[1]], [ANSATZ[1][:1]]], pub(ANSATZ, (4,)).parameter_values)
        )
    ],
}
OPTIONS = {
    "default": options,
    "level 0": lambda: options(resilience_level=0),
    "twirled": lambda: options(twirling={"enable_gates": True}),
    "shots": lambda: options(default_shots=200, max_execution_time=60),
}


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("asked", OPTIONS)
def test_a_filled_program_is_the_one_that_the_client_makes(work, asked):
    """From the second request on, with new values each time; and with the tags of each job."""
    programs = PreparedPrograms()
    assert programs.fill(WORKS[work](), OPTIONS[asked]()) is None
    for number in range(3):
        pubs, wanted = WORKS[work](), OPTIONS[asked]()
        wanted.environment.job_tags = [f"job {number}"]
        ready = programs.fill(pubs, wanted)
        expected, executor_options = prepare(pubs, wanted)

        assert ready is not None
        assert _content(expected) == _content(ready.program)
        assert executor_options == ready.options


def test_other_circuits_options_and_shapes_are_others():
    """Only what differs in values alone shares a program."""
    programs = PreparedPrograms()
    others = [
        ([pub(ANSATZ)], options()),
        ([pub(COMPUTED)], options()),
        ([pub(ANSATZ, (1,))], options()),
        ([pub(ANSATZ, precision=0.5)], options()),
        ([pub(ANSATZ)], options(resilience_level=0)),
        ([pub(ANSATZ)], options(max_execution_time=10)),
    ]

    assert [None] * len(others) == [programs.fill(*other) for other in others]


@pytest.mark.parametrize(
    "asked",
    [
        {"resilience_level": 2},
        {"resilience": {"pec_mitigation": True}},
        {"dynamical_decoupling": {"enable": True}},
    ],
    ids=str,
)
def test_what_the_client_makes_at_random_or_for_the_device_it_makes_anew(asked):
    """Gates are folded, and errors sampled, differently for each job."""
    programs = PreparedPrograms()

    assert [None] * 3 == [programs.fill([pub(ANSATZ)], options(**asked)) for _ in range(3)]
    # It is not tried again each time.
    assert [None] == list(programs._forms.values())


def test_a_circuit_that_was_changed_in_place_is_another():
    """It does not tell; its content does."""
    programs, circuit = PreparedPrograms(), ANSATZ[0].copy()
    for _ in range(2):
        programs.fill([pub((circuit, ANSATZ[1]))], options())
    circuit.x(0)

    assert programs.fill([pub((circuit, ANSATZ[1]))], options()) is None


def test_the_latest_programs_are_kept():
    """Nothing grows with the number of circuits."""
    programs = PreparedPrograms()
    for shots in range(1, KEPT + 2):
        programs.fill([pub(BARE)], options(default_shots=shots))

    assert programs.fill([pub(BARE)], options(default_shots=1)) is None
    assert programs.fill([pub(BARE)], options(default_shots=KEPT + 1)) is not None


def test_what_the_client_refuses_is_left_to_it():
    """It says what is wrong, when it is asked."""
    programs = PreparedPrograms()
    projectors = EstimatorPub.coerce((BARE[0], {"0" * BARE[0].num_qubits: 1.0}))

    assert [None] * 3 == [programs.fill([projectors], options()) for _ in range(3)]
