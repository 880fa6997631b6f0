"""A filled program is the one that the client makes, or there is none."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import Executor
from qiskit_ibm_runtime.executor_estimator.prepare import prepare as prepare_estimator
from qiskit_ibm_runtime.executor_sampler.prepare import prepare as prepare_sampler
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qiskit_ibm_runtime.options_models import EstimatorOptions, SamplerOptions
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

from prefect_qsession.ibm import internals, programs
from prefect_qsession.ibm.circuits import each_circuit_seen_once
from prefect_qsession.ibm.encodings import EncodedExecutor, EncodedProgram, decoded, encoded
from prefect_qsession.ibm.programs import KEPT, PreparedPrograms, _content

pytestmark = pytest.mark.skipif(internals.are_hidden, reason="the client makes each program")

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


ROLES = {"estimator": "estimator_v2", "sampler": "sampler_v2"}
"""What the client's primitives set, each on its programs."""

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
SAMPLED = {
    "default": SamplerOptions,
    "twirled": lambda: SamplerOptions(
        twirling={"enable_gates": True, "enable_measure": True}, default_shots=128
    ),
    "shots": lambda: SamplerOptions(default_shots=200, max_execution_time=60),
}


def measured(pubs):
    """Return what a sampler is asked about the same circuits and values."""
    return [
        SamplerPub(
            (one.circuit if one.circuit.num_clbits else one.circuit.measure_all(inplace=False)),
            one.parameter_values,
            shots=None if one.precision is None else 100,
        )
        for one in pubs
    ]


def check_each_is_what_the_client_makes(kind, prepare, ask, asked):
    """Ask four times, with new values and tags each time; hold all but the first to the client."""
    kept = PreparedPrograms()
    assert kept.fill(kind, ask(), asked()) is None
    for number in range(3):
        pubs, wanted = ask(), asked()
        wanted.environment.job_tags = [f"job {number}"]
        ready = kept.fill(kind, pubs, wanted)
        expected, executor_options = prepare(pubs, wanted)

        assert ready is not None
        expected._semantic_role = ROLES[kind]
        anew = encoded(ready.program, ready.options)

        assert _content(expected) == _content(ready.program)
        assert _content(expected) == _content(decoded(ready.program.encoding))
        assert executor_options == ready.options
        # As bytes no two are alike: circuits and parameters are numbered in an order of their own.
        assert anew.options == ready.program.encoding.options
        assert anew.schema_version == ready.program.encoding.schema_version


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("asked", OPTIONS)
def test_an_estimators_filled_program_is_the_one_that_the_client_makes(work, asked):
    """From the second request on, and so is what the service reads of it."""
    check_each_is_what_the_client_makes("estimator", prepare_estimator, WORKS[work], OPTIONS[asked])


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("asked", SAMPLED)
def test_a_samplers_filled_program_is_the_one_that_the_client_makes(work, asked):
    """From the second request on, and so is what the service reads of it."""
    check_each_is_what_the_client_makes(
        "sampler", prepare_sampler, lambda: measured(WORKS[work]()), SAMPLED[asked]
    )


def test_the_clients_executor_sends_what_a_program_brings_along():
    """It looks its encoder up where ours was added, and nothing of its own has changed there."""
    key = EncodedExecutor._SCHEMA_VERSION
    theirs = QUANTUM_PROGRAM_PARAMS_CONVERTERS[Executor._SCHEMA_VERSION]
    ours = QUANTUM_PROGRAM_PARAMS_CONVERTERS[key]
    made, executor_options = prepare_estimator([pub(ANSATZ)], options())
    brought = EncodedProgram.of(made)
    brought.encoding = object()

    assert key != Executor._SCHEMA_VERSION
    assert (theirs.model, theirs.decoder) == (ours.model, ours.decoder)
    assert brought.encoding is ours.encoder(brought, executor_options)
    assert _content(made) == _content(decoded(ours.encoder(made, executor_options)))


def test_other_circuits_options_and_shapes_are_others():
    """Only what differs in values alone shares a program."""
    kept = PreparedPrograms()
    others = [
        ([pub(ANSATZ)], options()),
        ([pub(COMPUTED)], options()),
        ([pub(ANSATZ, (1,))], options()),
        ([pub(ANSATZ, precision=0.5)], options()),
        ([pub(ANSATZ)], options(resilience_level=0)),
        ([pub(ANSATZ)], options(max_execution_time=10)),
    ]

    assert [None] * len(others) == [kept.fill("estimator", *other) for other in others]


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
    kept = PreparedPrograms()

    assert [None] * 3 == [kept.fill("estimator", [pub(ANSATZ)], options(**asked)) for _ in range(3)]
    # It is not tried again each time.
    assert [None] == list(kept._forms.values())


@pytest.mark.parametrize("kind", ["estimator", "sampler"])
def test_a_circuit_that_was_changed_in_place_is_another(kind):
    """It does not tell; its content does. And what was kept of it is as it was."""
    kept, circuit = PreparedPrograms(), ANSATZ[0].copy()
    asked = {"estimator": EstimatorOptions, "sampler": SamplerOptions}[kind]()

    def ask(circuit):
        pubs = [pub((circuit, ANSATZ[1]))]
        pubs = pubs if kind == "estimator" else measured(pubs)
        return kept.fill(kind, pubs, asked)

    ask(circuit)
    before = ask(circuit).program.items[0].circuit.copy()
    unchanged = circuit.copy()
    circuit.x(0)

    assert ask(circuit) is None
    assert before == ask(unchanged).program.items[0].circuit


def test_requests_beside_the_one_that_is_prepared_go_the_clients_way(monkeypatch):
    """They do not prepare the same again; what was prepared serves those that come later."""
    kept, made = PreparedPrograms(), []
    make = programs._form

    def beside(*request):
        made.append(request)
        assert kept.fill("estimator", [pub(ANSATZ)], options()) is None
        return make(*request)

    monkeypatch.setattr(programs, "_form", beside)
    ready = [kept.fill("estimator", [pub(ANSATZ)], options()) is not None for _ in range(4)]

    assert [False, True, True, True] == ready
    assert 1 == len(made)


def test_a_program_whose_preparation_was_cut_off_is_prepared_later(monkeypatch):
    """By a task's timeout, say."""
    kept = PreparedPrograms()

    def cut_off(*_):
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(programs, "_form", cut_off)
        kept.fill("estimator", [pub(ANSATZ)], options())
        with pytest.raises(TimeoutError):
            kept.fill("estimator", [pub(ANSATZ)], options())

    assert kept.fill("estimator", [pub(ANSATZ)], options()) is not None


def test_a_circuit_that_changes_while_it_is_prepared_is_not_kept():
    """What is known by its old content must not be made of the new."""
    kept, circuit = PreparedPrograms(), ANSATZ[0].copy()
    for _ in range(2):
        with each_circuit_seen_once():
            numbered, _ = programs._numbered([pub((circuit, ANSATZ[1]))])
            programs.fingerprint("estimator", numbered, options())
            circuit.x(0)
            filled = kept.fill("estimator", [pub((circuit, ANSATZ[1]))], options())
            circuit.data.pop()

        assert filled is None
    unchanged = [pub((circuit, ANSATZ[1]))]
    ready = kept.fill("estimator", unchanged, options())
    expected, _ = prepare_estimator(unchanged, options())
    expected._semantic_role = ROLES["estimator"]

    assert _content(expected) == _content(ready.program)


def test_a_dynamic_circuit_is_filled():
    """What it does may depend on what was measured."""
    kept, circuit = PreparedPrograms(), QuantumCircuit(5, 2)
    circuit.rz(Parameter("angle"), 0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    ready = [
        kept.fill("sampler", [SamplerPub.coerce((circuit, [angle]))], SamplerOptions())
        for angle in (0.1, 0.2, 0.3)
    ]

    assert [False, True, True] == [one is not None for one in ready]


def test_the_latest_programs_are_kept():
    """Nothing grows with the number of circuits."""
    kept = PreparedPrograms()
    for shots in range(1, KEPT + 2):
        kept.fill("estimator", [pub(BARE)], options(default_shots=shots))

    assert kept.fill("estimator", [pub(BARE)], options(default_shots=1)) is None
    assert kept.fill("estimator", [pub(BARE)], options(default_shots=KEPT + 1)) is not None


def test_what_the_client_refuses_is_left_to_it():
    """It says what is wrong, when it is asked."""
    kept = PreparedPrograms()
    projectors = EstimatorPub.coerce((BARE[0], {"0" * BARE[0].num_qubits: 1.0}))

    assert [None] * 3 == [kept.fill("estimator", [projectors], options()) for _ in range(3)]
