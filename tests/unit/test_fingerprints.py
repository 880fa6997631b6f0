"""What makes two requests the same, and what makes them two."""

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import (
    Annotation,
    Barrier,
    CircuitInstruction,
    Delay,
    Gate,
    Measure,
    Parameter,
    ParameterVector,
    Qubit,
    Reset,
)
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import HamiltonianGate, RXGate, RZGate, XGate, YGate
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import Clifford, PauliLindbladMap, SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import options, options_models
from qiskit_ibm_runtime.fake_provider import FakeBrisbane
from qiskit_ibm_runtime.quantum_program import QuantumProgram
from samplomatic import ChangeBasis, InjectNoise, Tag, Twirl, build

from flows.ansatz import coupled_cluster
from prefect_qsession.ibm import internals
from prefect_qsession.ibm.canonical_form import canonical
from prefect_qsession.ibm.circuits import each_circuit_seen_once
from prefect_qsession.ibm.fingerprints import fingerprint

OPERATOR = SparsePauliOp(["ZZ", "XX", "IZ"], [0.5, 0.25, -1.0])


class Colour(Enum):
    """An option of some library."""

    RED = "red"
    BLUE = "blue"


@dataclass
class Stranger:
    """A dataclass that is known by its fields."""

    value: float


def circuit_of(edit, *, name=None, metadata=None, clbits="c"):
    """Return two qubits and a register of two bits, changed by the edit."""
    qubits, bits = QuantumRegister(2, "q"), ClassicalRegister(2, clbits)
    circuit = QuantumCircuit(qubits, bits, name=name, metadata=metadata)
    edit(circuit)
    circuit.measure(qubits, bits)
    return circuit


def of_sampler(circuit, values=None, *, shots=None, changes=None):
    """Return the fingerprint of one PUB of a client-side Sampler."""
    pub = SamplerPub.coerce((circuit, values, shots))
    return fingerprint("sampler", [pub], options_models.SamplerOptions(**(changes or {})))


def of_estimator(operator=OPERATOR, values=(0.1,), *, precision=None, changes=None, legacy=False):
    """Return the fingerprint of one PUB of an Estimator, its circuit built anew."""
    circuit = coupled_cluster(OPERATOR, 2)
    pub = EstimatorPub.coerce((circuit, operator, values, precision))
    kind = options if legacy else options_models
    return fingerprint("estimator", [pub], kind.EstimatorOptions(**(changes or {})))


def untouched(circuit):
    """Leave the circuit as it is."""


def branch(circuit, condition, *, other=False):
    """Flip a qubit if the condition holds."""
    with circuit.if_test(condition):
        if other:
            circuit.z(0)
        else:
            circuit.x(0)


def with_variable(circuit, value):
    """Compare a variable of the circuit's own with a number."""
    variable = circuit.add_var("count", expr.lift(3, types.Uint(8)))
    branch(circuit, expr.equal(variable, value))


def switch(circuit, label):
    """Flip a qubit by the value of a register."""
    with circuit.switch(circuit.cregs[0]) as case:
        with case(label):
            circuit.x(0)
        with case(case.DEFAULT):
            circuit.z(1)


def loop(circuit, times):
    """Rotate by a loop's own parameter."""
    with circuit.for_loop(range(times), Parameter("i")) as angle:
        circuit.rx(angle, 0)


def box(circuit, *marks, **timing):
    """Put a gate into a box."""
    with circuit.box(list(marks), **timing):
        circuit.x(0)


def stretch(circuit, name):
    """Delay by a duration that the service chooses."""
    circuit.delay(circuit.add_stretch(name), 0)


def custom(circuit, angle):
    """Append a gate that is known by its definition alone."""
    gate = Gate("mine", 1, [])
    gate.definition = QuantumCircuit(1)
    gate.definition.rx(angle, 0)
    circuit.append(gate, [0])


CIRCUITS = {
    "nothing": untouched,
    "x": lambda c: c.x(0),
    "x elsewhere": lambda c: c.x(1),
    "x, then z": lambda c: (c.x(0), c.z(0)),
    "z, then x": lambda c: (c.z(0), c.x(0)),
    "cx": lambda c: c.cx(0, 1),
    "cx the other way": lambda c: c.cx(1, 0),
    "cx on zero": lambda c: c.cx(0, 1, ctrl_state=0),
    "rx": lambda c: c.rx(0.1, 0),
    "rx by the next number": lambda c: c.rx(np.nextafter(0.1, 1), 0),
    "phase": lambda c: setattr(c, "global_phase", 0.5),
    "label": lambda c: c.barrier(label="here"),
    "barrier": lambda c: c.barrier(),
    "delay": lambda c: c.delay(100, 0, unit="dt"),
    "longer delay": lambda c: c.delay(101, 0, unit="dt"),
    "delay in ns": lambda c: c.delay(100, 0, unit="ns"),
    "delay by a stretch": lambda c: stretch(c, "a"),
    "delay by another stretch": lambda c: stretch(c, "b"),
    "reset": lambda c: c.reset(0),
    "measured into the other bit": lambda c: c.measure(0, 1),
    "measured twice": lambda c: c.measure(0, 0),
    "another register": lambda c: c.add_register(ClassicalRegister(2, "d")),
    "a longer one": lambda c: c.add_register(ClassicalRegister(3, "d")),
    "custom gate": lambda c: custom(c, 0.1),
    "custom gate, defined otherwise": lambda c: custom(c, 0.2),
    "if": lambda c: branch(c, (c.cregs[0], 1)),
    "if not": lambda c: branch(c, (c.cregs[0], 2)),
    "if bit": lambda c: branch(c, (c.clbits[0], 1)),
    "if the other bit": lambda c: branch(c, (c.clbits[1], 1)),
    "if, then otherwise": lambda c: branch(c, (c.cregs[0], 1), other=True),
    "if expression": lambda c: branch(c, expr.less(c.cregs[0], 2)),
    "if another expression": lambda c: branch(c, expr.less(c.cregs[0], 3)),
    "if greater": lambda c: branch(c, expr.greater(c.cregs[0], 2)),
    "if variable": lambda c: with_variable(c, 1),
    "if variable is other": lambda c: with_variable(c, 2),
    "switch": lambda c: switch(c, 1),
    "switch on another value": lambda c: switch(c, 2),
    "loop": lambda c: loop(c, 2),
    "longer loop": lambda c: loop(c, 3),
    "box": box,
    "timed box": lambda c: box(c, duration=100, unit="dt"),
    "twirled box": lambda c: box(c, Twirl()),
    "box twirled on the right": lambda c: box(c, Twirl(dressing="right")),
    "noisy box": lambda c: box(c, Twirl(), InjectNoise("a")),
    "box with other noise": lambda c: box(c, Twirl(), InjectNoise("b")),
    "measuring box": lambda c: box(c, ChangeBasis()),
    "tagged box": lambda c: box(c, Tag("a")),
    "box with another tag": lambda c: box(c, Tag("b")),
}


@pytest.mark.parametrize("edit", CIRCUITS.values(), ids=CIRCUITS.keys())
def test_a_circuit_that_is_built_again_is_the_same(edit):
    """Counters, ids and addresses of Qiskit's objects leave no trace."""
    assert of_sampler(circuit_of(edit)) == of_sampler(circuit_of(edit))


def test_no_two_circuits_that_differ_are_the_same():
    """Every pair of the table is told apart."""
    found = {name: of_sampler(circuit_of(edit)) for name, edit in CIRCUITS.items()}

    assert len(CIRCUITS) == len(set(found.values())), found


def test_a_fingerprint_is_32_hex_digits():
    """It fits into a tag of a job."""
    found = of_sampler(circuit_of(CIRCUITS["x"]))

    assert 32 == len(found)
    assert set(found) <= set("0123456789abcdef")


def test_the_name_of_a_circuit_does_not_count_but_that_of_a_classical_register_does():
    """The result names its data by classical registers, and nothing by the circuit."""
    plain_one = of_sampler(circuit_of(CIRCUITS["x"]))

    assert plain_one == of_sampler(circuit_of(CIRCUITS["x"], name="other"))
    assert plain_one != of_sampler(circuit_of(CIRCUITS["x"], clbits="other"))


def test_the_metadata_of_a_circuit_counts_for_a_pub_and_not_for_a_program():
    """The result of a PUB gives it back, that of a program does not."""
    first, second = (circuit_of(CIRCUITS["x"], metadata={"point": n}) for n in (1, 2))

    def of_program(circuit):
        program = QuantumProgram(shots=10)
        program.append_circuit_item(circuit)
        return fingerprint("executor", program, options_models.ExecutorOptions())

    assert of_sampler(first) != of_sampler(second)
    assert of_program(first) == of_program(second)


ANGLE = Parameter("angle")
OWN = Gate("own", 1, [0.1])


def changeable():
    """Return a circuit of all that a device knows, and of a gate that it does not."""

    def edit(circuit):
        circuit.rz(0.3, 0)
        circuit.rz(ANGLE, 1)
        circuit.rx(2 * ANGLE + 1, 1)
        circuit.x(0)
        circuit.reset(1)
        circuit.barrier()
        circuit.global_phase = 0.1

    return circuit_of(edit)


def own_gate():
    """Return a circuit with a gate that is known by its definition."""
    gate = Gate("own", 1, [0.1])
    gate.definition = QuantumCircuit(1)
    gate.definition.x(0)
    return circuit_of(lambda circuit: circuit.append(gate, [0]))


def put(circuit, place, operation, qubits, clbits=()):
    """Replace an instruction of a circuit."""
    circuit.data[place] = CircuitInstruction(operation, qubits, clbits)


def labelled(operation, label):
    """Return a copy of an operation with a label."""
    operation = operation.to_mutable()
    operation.label = label
    return operation


CHANGES = {
    "angle": lambda c: put(c, 0, RZGate(0.4), [c.qubits[0]]),
    "last bit of an angle": lambda c: put(c, 0, RZGate(np.nextafter(0.3, 1)), [c.qubits[0]]),
    "angle bound": lambda c: c.assign_parameters({ANGLE: 0.5}, inplace=True),
    "last bit of a factor": lambda c: put(
        c, 2, RXGate(np.nextafter(2, 3) * ANGLE + 1), [c.qubits[1]]
    ),
    "last bit of a term": lambda c: put(
        c, 2, RXGate(2 * ANGLE + np.nextafter(1, 2)), [c.qubits[1]]
    ),
    "gate": lambda c: put(c, 3, YGate(), [c.qubits[0]]),
    "qubit": lambda c: put(c, 3, XGate(), [c.qubits[1]]),
    "label of a gate": lambda c: put(c, 3, labelled(XGate(), "x"), [c.qubits[0]]),
    "reset": lambda c: put(c, 4, Reset(), [c.qubits[0]]),
    "delay": lambda c: put(c, 4, Delay(10), [c.qubits[0]]),
    "barrier": lambda c: put(c, 5, Barrier(1), [c.qubits[0]]),
    "label of a barrier": lambda c: put(c, 5, Barrier(2, label="b"), c.qubits),
    "measured into": lambda c: put(c, 6, Measure(), [c.qubits[0]], [c.clbits[1]]),
    "label of a measurement": lambda c: put(
        c, 6, labelled(Measure(), "m"), [c.qubits[0]], [c.clbits[0]]
    ),
    "order": lambda c: c.data.insert(0, c.data.pop()),
    "one more": lambda c: c.x(0),
    "one less": lambda c: c.data.pop(),
    "none": lambda c: c.data.clear(),
    "phase": lambda c: setattr(c, "global_phase", np.nextafter(0.1, 1)),
    "qubits": lambda c: c.add_register(QuantumRegister(1, "more")),
    "bits": lambda c: c.add_register(ClassicalRegister(1, "more")),
    "a gate of one's own": lambda c: c.append(OWN, [0]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_circuit_that_is_changed_in_place_is_another(change):
    """Nothing is remembered of a circuit between two requests."""
    circuit = changeable()
    before = canonical(circuit)
    assert before == canonical(circuit)
    assert before == canonical(changeable())
    CHANGES[change](circuit)

    assert before != canonical(circuit)
    assert canonical(circuit.copy()) == canonical(circuit)
    assert before == canonical(changeable())


@pytest.mark.parametrize(("length", "unit"), [(11, "dt"), (10, "ns")])
def test_a_delay_that_is_changed_in_place_is_another(length, unit):
    """Its length and its unit count."""
    circuit = circuit_of(lambda c: c.delay(10, 0))
    before = canonical(circuit)
    put(circuit, 0, Delay(length, unit), [circuit.qubits[0]])

    assert before != canonical(circuit)


@pytest.mark.parametrize(
    "change",
    [
        lambda gate: gate.params.__setitem__(0, 0.7),
        lambda gate: setattr(gate, "definition", QuantumCircuit(1)),
        lambda gate: gate.definition.y(0),
        lambda gate: gate.definition.data.clear(),
    ],
    ids=["parameter", "definition", "longer", "empty"],
)
def test_a_gate_that_is_changed_inside_its_circuit_is_another(change):
    """What is in a gate of one's own counts, down to its definition."""
    circuit = own_gate()
    before = canonical(circuit)
    assert before == canonical(own_gate())
    change(circuit.data[0].operation)

    assert before != canonical(circuit)


def test_a_circuit_is_looked_at_once_in_a_request():
    """The same circuit; one that takes the place of another in memory is looked at itself."""
    circuit, others = changeable(), set()
    with each_circuit_seen_once():
        before = canonical(circuit)
        circuit.x(0)
        assert before == canonical(circuit)
        for number in range(200):
            others.add(repr(canonical(circuit_of(lambda c, angle=number: c.rz(angle / 100, 0)))))

    assert 200 == len(others)
    assert before != canonical(circuit)


def test_what_is_no_instruction_in_a_circuit_makes_it_unlike_any_other(caplog):
    """A Clifford can stand in a circuit, and in the definition of a gate."""
    gate = Gate("own", 1, [])
    gate.definition = QuantumCircuit(1)
    gate.definition.append(Clifford(XGate()), [0])
    for operation in (Clifford(XGate()), gate):
        circuit = circuit_of(lambda c, one=operation: c.append(one, [0]))

        assert canonical(circuit) != canonical(circuit)
    assert "Clifford" in caplog.text


def test_a_copy_of_a_dynamic_circuit_is_the_same():
    """Qiskit writes the conditions and the cases of a copy in another way."""
    circuit = circuit_of(lambda c: c.measure(0, 0))
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with circuit.switch(circuit.cregs[0]) as case:
        with case(True, 2):  # noqa: FBT003 - a label
            circuit.x(0)
        with case(case.DEFAULT):
            circuit.y(0)

    assert canonical(circuit) == canonical(circuit.copy())


def test_a_gate_whose_definition_fails_makes_its_circuit_unlike_any_other():
    """No fingerprint raises what a gate does."""
    circuit = circuit_of(lambda c: c.append(HamiltonianGate(np.eye(2), ANGLE), [0]))

    assert canonical(circuit) != canonical(circuit)


def test_bits_count_by_their_place():
    """Of two circuits with the same bits in another order, each has its own fingerprint."""
    bits = [Qubit(), Qubit()]
    found = []
    for order in (bits, bits[::-1]):
        circuit = QuantumCircuit(order)
        circuit.x(bits[0])
        found.append(canonical(circuit))
        del circuit

    assert found[0] != found[1]


def rotated(*names, by=lambda first, second: first + 2 * second):
    """Return a circuit with an expression of two parameters, and with each of them."""
    first, second = map(Parameter, names)
    return circuit_of(lambda c: (c.rx(by(first, second), 0), c.ry(first, 0), c.rz(second, 0)))


EXPRESSIONS = {
    "sum": rotated("a", "b"),
    "other names": rotated("a", "c"),
    "other factor": rotated("a", "b", by=lambda a, b: a + 2.0000000000000004 * b),
    "product": rotated("a", "b", by=lambda a, b: 2 * a * b),
    "nested": rotated("a", "b", by=lambda a, b: a - (b - a) / 3),
    "sine": rotated("a", "b", by=lambda a, b: (a + b).sin()),
    "one alone": rotated("a", "b", by=lambda a, _: a),
    "the other alone": rotated("a", "b", by=lambda _, b: b),
}


def test_expressions_of_parameters_are_told_apart_to_the_last_bit():
    """Every pair of the table differs, with the same values."""
    found = {name: of_sampler(one, [0.1, 0.2]) for name, one in EXPRESSIONS.items()}

    assert len(EXPRESSIONS) == len(set(found.values())), found
    assert found["sum"] == of_sampler(rotated("a", "b"), [0.1, 0.2])


def test_values_count_by_what_they_are_bound_to_and_not_by_how_they_were_given():
    """A list, an array and a mapping in any order say the same."""
    circuit = rotated("a", "b")
    as_list = of_sampler(circuit, [0.1, 0.2])

    assert as_list == of_sampler(circuit, np.array([0.1, 0.2]))
    assert as_list == of_sampler(circuit, {"b": 0.2, "a": 0.1})
    assert as_list == of_sampler(circuit, {("b", "a"): [0.2, 0.1]})
    assert as_list != of_sampler(circuit, [0.2, 0.1])
    assert as_list != of_sampler(circuit, [[0.1, 0.2]])
    assert as_list != of_sampler(circuit, [np.nextafter(0.1, 1), 0.2])


def test_the_elements_of_a_vector_are_bound_by_index():
    """The tenth element is not the second, though its name sorts before."""
    circuit = QuantumCircuit(1)
    for angle in ParameterVector("v", 11):
        circuit.rx(angle, 0)
    up, down = np.arange(11.0), np.arange(11.0)[::-1]

    assert of_sampler(circuit, up) == of_sampler(circuit, list(range(11)))
    assert of_sampler(circuit, up) != of_sampler(circuit, down)


ESTIMATES = {
    "as it is": {},
    "other value": {"values": [0.3]},
    "other coefficient": {"operator": SparsePauliOp(["ZZ", "XX", "IZ"], [0.5, 0.25, -1.1])},
    "other Pauli": {"operator": SparsePauliOp(["ZZ", "XX", "ZI"], [0.5, 0.25, -1.0])},
    "in a list": {"operator": [OPERATOR]},
    "two operators": {"operator": [OPERATOR, SparsePauliOp("ZZ")]},
    "two operators the other way": {"operator": [SparsePauliOp("ZZ"), OPERATOR]},
    "precision": {"precision": 0.01},
    "other precision": {"precision": 0.02},
    "other level": {"changes": {"resilience_level": 2}},
    "default precision": {"changes": {"default_precision": 0.02}},
    "twirling": {"changes": {"twirling": {"enable_gates": True}}},
    "no twirling": {"changes": {"twirling": {"enable_gates": False}}},
    "noise factors": {"changes": {"resilience": {"zne": {"noise_factors": [1, 3]}}}},
    "other noise factors": {"changes": {"resilience": {"zne": {"noise_factors": [1, 5]}}}},
    "experimental": {"changes": {"experimental": {"a": {"b": 1, "c": 2}}}},
    "other experimental": {"changes": {"experimental": {"a": {"b": 1, "c": True}}}},
}


@pytest.mark.parametrize("legacy", [False, True])
def test_no_two_estimates_that_differ_are_the_same(legacy):
    """Values, observables, precision and options count, in both generations."""
    found = {name: of_estimator(**row, legacy=legacy) for name, row in ESTIMATES.items()}

    assert len(ESTIMATES) == len(set(found.values())), found
    assert found == {name: of_estimator(**row, legacy=legacy) for name, row in ESTIMATES.items()}


def test_an_observable_counts_by_its_terms_and_not_by_their_order():
    """Nor by the form it was given in."""
    as_mapping = {"IZ": -1.0, "ZZ": 0.5, "XX": 0.25}
    split = SparsePauliOp(["ZZ", "XX", "IZ", "ZZ"], [0.25, 0.25, -1.0, 0.25])

    assert of_estimator() == of_estimator(as_mapping)
    assert of_estimator() == of_estimator(split)


def test_numbers_of_numpy_are_the_same_numbers():
    """An optimiser hands out NumPy's, a flow's parameters are Python's."""
    assert of_estimator(precision=0.01) == of_estimator(precision=np.float64(0.01))
    circuit = circuit_of(CIRCUITS["x"])
    assert of_sampler(circuit, shots=100) == of_sampler(circuit, shots=np.int64(100))
    assert of_sampler(circuit, shots=100) != of_sampler(circuit, shots=101)


OPTIONS = [
    ("estimator", options_models.EstimatorOptions),
    ("sampler", options_models.SamplerOptions),
    ("executor", options_models.ExecutorOptions),
    ("estimator-legacy", options.EstimatorOptions),
    ("sampler-legacy", options.SamplerOptions),
]


@pytest.mark.parametrize(("program", "kind"), OPTIONS, ids=[name for name, _ in OPTIONS])
def test_options_that_change_no_answer_do_not_count(program, kind):
    """Tags, log level and the longest execution time may differ from attempt to attempt."""
    silent = {"job_tags": ["a"], "log_level": "DEBUG", "private": True}

    expected = fingerprint(program, [], kind())

    assert expected == fingerprint(program, [], kind(environment=silent, max_execution_time=60))


@pytest.mark.parametrize(("program", "kind"), OPTIONS, ids=[name for name, _ in OPTIONS])
def test_options_that_are_left_alone_are_not_the_same_as_set(program, kind):
    """Unset is the service's to decide, and may change."""
    untouched, touched = kind(), kind()
    touched.execution.rep_delay = 0.0001

    assert fingerprint(program, [], untouched) == fingerprint(program, [], kind())
    assert fingerprint(program, [], untouched) != fingerprint(program, [], touched)


def test_the_image_that_a_job_runs_in_counts():
    """It is the software that computes the answer."""
    kind = options_models.SamplerOptions

    assert fingerprint("sampler", [], kind()) != fingerprint(
        "sampler", [], kind(environment={"image": "other:1"})
    )


def test_the_primitive_and_the_order_of_pubs_count():
    """The same PUBs for another primitive, or in another order, are another request."""
    one, other = (SamplerPub.coerce(circuit_of(CIRCUITS[name])) for name in ("x", "cx"))
    set_options = options_models.SamplerOptions()

    found = {
        fingerprint("sampler", [one, other], set_options),
        fingerprint("sampler", [other, one], set_options),
        fingerprint("sampler", [one], set_options),
        fingerprint("sampler-legacy", [one], set_options),
    }

    assert 4 == len(found)


def layer_noise(rate, qubit=0, *, bare=False):
    """Return options with a noise model for one boxed layer."""
    circuit = QuantumCircuit([Qubit(), Qubit()]) if bare else QuantumCircuit(3)
    with circuit.box([Twirl()]):
        circuit.cx(qubit, qubit + 1)
    noise = PauliLindbladMap.from_list([("XX", rate)])
    return options_models.EstimatorOptions(
        resilience={"layer_noise_model": [(circuit.data[0], noise)]}
    )


def test_a_noise_model_counts_by_its_rates_and_qubits():
    """Mitigation is computed from it."""
    rows = [(0.1, 0), (0.2, 0), (0.1, 1)]
    found = [fingerprint("estimator", [], layer_noise(*row)) for row in rows]

    assert 3 == len(set(found))
    assert found == [fingerprint("estimator", [], layer_noise(*row)) for row in rows]


def program_of(
    *, shots=10, angle=0.1, factor=2, rate=0.1, randomizations=4, data=None, chunk=None, level=None
):
    """Return the fingerprint of a program with one item of each kind, built anew."""
    sweep = QuantumCircuit(1)
    sweep.rx(Parameter("a"), 0)
    boxed = QuantumCircuit(2)
    with boxed.box([Twirl(), InjectNoise("noise")]):
        boxed.rx(factor * Parameter("b"), 0)
        boxed.cx(0, 1)
    with boxed.box([Twirl(dressing="right")]):
        boxed.noop(0, 1)
    template, samplex = build(boxed)
    program = QuantumProgram(shots=shots, passthrough_data=data, meas_level=level or "classified")
    program.append_circuit_item(sweep, np.array([[angle], [0.2]]), chunk_size=chunk)
    noise = PauliLindbladMap.from_list([("XX", rate)])
    arguments = {"parameter_values": [0.3], "pauli_lindblad_maps": {"noise": noise}}
    program.append_samplex_item(template, samplex, arguments, shape=(randomizations,))
    return fingerprint("executor", program, options_models.ExecutorOptions())


PROGRAMS = {
    "as it is": {},
    "shots": {"shots": 11},
    "argument": {"angle": 0.11},
    "expression in the samplex": {"factor": 3},
    "noise": {"rate": 0.2},
    "randomizations": {"randomizations": 5},
    "data": {"data": {"a": [1, np.arange(3)]}},
    "other data": {"data": {"a": [1, np.arange(3.0)]}},
    "chunk": {"chunk": 1},
    "level": {"level": "kerneled"},
}


@pytest.mark.skipif(internals.are_hidden, reason="a samplex is like no other")
def test_no_two_programs_that_differ_are_the_same():
    """Every part of a program counts, and one that is built again is the same."""
    found = {name: program_of(**row) for name, row in PROGRAMS.items()}

    assert len(PROGRAMS) == len(set(found.values())), found
    assert found == {name: program_of(**row) for name, row in PROGRAMS.items()}


def transpiled():
    """Return the fingerprint of an ansatz on 127 qubits, everything made from scratch."""
    passes = generate_preset_pass_manager(1, backend=FakeBrisbane(), seed_transpiler=1)
    ansatz = passes.run(coupled_cluster(OPERATOR, 2))
    operator = OPERATOR.apply_layout(ansatz.layout)
    pub = EstimatorPub.coerce((ansatz, operator, np.full(ansatz.num_parameters, 0.1)))
    return fingerprint("estimator", [pub], options_models.EstimatorOptions())


def everything():
    """Return a fingerprint of each kind of request."""
    estimates = {f"estimate {name}": of_estimator(**row) for name, row in ESTIMATES.items()}
    circuits = {name: of_sampler(circuit_of(edit)) for name, edit in CIRCUITS.items()}
    sets = {"set": repr(canonical({"a", "b", 1, (2, "c")}))}
    return {"127": transpiled(), "program": program_of(), **estimates, **circuits, **sets}


@pytest.mark.skipif(internals.are_hidden, reason="a samplex is like no other")
def test_another_process_finds_the_same():
    """Python orders sets and hashes strings anew in each process, and a retry may be in one."""
    code = "from tests.unit.test_fingerprints import everything; print(everything())"
    outputs = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert outputs[0] == outputs[1]
    assert f"{everything()}\n" == outputs[0]


EQUAL = [
    (1.5, np.float64(1.5)),
    (3, np.int32(3)),
    (True, np.True_),
    ([1, 2], (1, 2)),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1, 2}, frozenset([2, 1])),
    (np.arange(4.0), np.arange(8.0)[::2] / 2),
    (np.arange(3, dtype="<i4"), np.arange(3, dtype=">i4")),
    (Stranger(1.0), Stranger(np.float64(1.0))),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_values_are_plain_alike(one, other):
    """Whatever library they come from, and however they lie in memory."""
    assert repr(canonical(one)) == repr(canonical(other))


DIFFERENT = [
    *(
        None,
        1,
        1.0,
        True,
        "1",
        b"1",
        1 + 0j,
        0.0,
        -0.0,
        [],
        [[]],
        [1],
        [1, [2]],
        [[1], 2],
        {},
        set(),
    ),
    *({"a": None}, {"a": 1}, {1: "a"}, {1}, range(3), range(4), Colour.RED, Colour.BLUE, "RED"),
    *(np.zeros(2), np.zeros(2, int), np.zeros((2, 1)), np.ones(2), np.array([None, 1])),
    *(Stranger(1.0), Stranger(2.0), ("array", "<f8"), float("nan"), float("inf"), "nan"),
]


def test_different_values_are_plain_differently():
    """Every pair of the table is told apart."""
    assert len(DIFFERENT) == len({repr(canonical(value)) for value in DIFFERENT})


class Foreign(Annotation):
    """An annotation that only its own library understands."""

    namespace = "foreign"


UNKNOWN = {
    "object": lambda: of_sampler(circuit_of(CIRCUITS["x"], metadata={"a": object()})),
    "annotation": lambda: of_sampler(circuit_of(lambda c: box(c, Foreign()))),
    "bits without a register": lambda: fingerprint("e", [], layer_noise(0.1, bare=True)),
}


@pytest.mark.parametrize("ask", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_is_unknown_is_never_the_same(ask):
    """A job too many costs a little; the answer to another question is wrong."""
    assert ask() != ask()


def test_what_is_unknown_is_logged_once(caplog):
    """A loop of a thousand jobs says once that none of them will be recognised."""

    class Unheard:
        pass

    with caplog.at_level(logging.WARNING, logger="prefect.qsession.fingerprints"):
        canonical([Unheard(), Unheard()])

    assert 1 == len(caplog.records)
    assert "Unheard" in caplog.text
