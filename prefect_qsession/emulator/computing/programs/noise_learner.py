"""
The program `noise-learner`, in both of its kinds: for circuits, and for boxes (V3).

An ideal device has no noise to learn, so every rate is zero, and nothing is simulated. What is
learnt about, how that is described, and how long it takes are as on a real one.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations, product
from typing import Annotated, Any

import numpy as np
from ibm_quantum_schemas.common import F64TensorModel
from ibm_quantum_schemas.noise_learner_v3.version_0_3 import (
    NoiseLearnerV3ResultModel,
    NoiseLearnerV3ResultsModel,
    ParamsModel,
)
from pydantic import BaseModel, Field, ValidationError
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import CircuitInstruction, Gate
from qiskit.quantum_info import PauliList
from qiskit_ibm_runtime import RuntimeEncoder
from qiskit_ibm_runtime.results.noise_learner import LayerError, PauliLindbladError

from prefect_qsession.emulator.computing.programs.circuits import DeviceFacts
from prefect_qsession.emulator.computing.programs.decoding import check_qpy_version, decode_tagged
from prefect_qsession.emulator.computing.programs.failures import by_schema, not_loadable
from prefect_qsession.emulator.rules.simulation import Outcome

SCHEMA_VERSION = "v0.3"
# Nine bases tell apart all pairs of Paulis on neighbours of a line.
BASES = 9

_Term = tuple[str, list[int]]
_Layer = tuple[tuple[str, tuple[int, ...]], ...]


class CircuitOptions(BaseModel):
    """What the older kind may be told; the defaults are those of the client's guide."""

    max_layers_to_learn: Annotated[int, Field(ge=0)] | None = 4
    shots_per_randomization: Annotated[int, Field(ge=1)] = 128
    num_randomizations: Annotated[int, Field(ge=1)] = 32
    layer_pair_depths: list[Annotated[int, Field(ge=0)]] = [0, 1, 2, 4, 16, 32]


def run_noise_learner(params: dict[str, Any], facts: DeviceFacts) -> Outcome:
    """Learn that there is no noise."""
    if "schema_version" in params:
        return _learn_boxes(params, facts)
    return _learn_circuits(params, facts)


def _terms(qubits: list[int], facts: DeviceFacts) -> list[_Term]:
    """Return the Paulis on each of the physical qubits and on each coupled pair of them."""
    singles: list[_Term] = [
        (pauli, [place]) for place in range(len(qubits)) for pauli in ("X", "Y", "Z")
    ]
    pairs: list[_Term] = [
        ("".join(paulis), [one, other])
        for one, other in combinations(range(len(qubits)), 2)
        if facts.couples(qubits[one], qubits[other])
        for paulis in product("XYZ", repeat=2)
    ]
    return singles + pairs


# -- V3: boxes


def _learn_boxes(params: dict[str, Any], facts: DeviceFacts) -> Outcome:
    model, boxes = _read_boxes(params, facts)
    options = model.options
    runs = max(0, options.num_randomizations * options.shots_per_randomization)
    depths = options.layer_pair_depths
    executions = 0
    data = []
    for box in boxes:
        qubits = _physical_qubits(box, facts)
        if any(inner.operation.name == "measure" for inner in _body(box)):
            terms: list[_Term] = [("X", [place]) for place in range(len(qubits))]
            metadata: dict[str, Any] = {
                "learning_protocol": "trex",
                "post_selection": {"fraction_kept": 1.0, "success_rates": {}},
            }
            executions += runs
        else:
            terms = _terms(qubits, facts)
            metadata = {
                "learning_protocol": "lindblad",
                "post_selection": {
                    "fraction_kept": dict.fromkeys(depths, 1.0),
                    "success_rates": {depth: {} for depth in depths},
                },
            }
            executions += runs * BASES * len(depths)
        data.append(
            NoiseLearnerV3ResultModel(
                generators_sparse=[[term] for term in terms],
                num_qubits=len(qubits),
                rates=F64TensorModel.from_numpy(np.zeros(len(terms))),
                rates_std=F64TensorModel.from_numpy(np.zeros(len(terms))),
                metadata=metadata,
            )
        )
    result = NoiseLearnerV3ResultsModel(data=data).model_dump_json().encode()
    return Outcome(result=result, executions=executions)


def _read_boxes(
    params: dict[str, Any], facts: DeviceFacts
) -> tuple[ParamsModel, list[CircuitInstruction]]:
    with by_schema(params, SCHEMA_VERSION):
        model = ParamsModel(**params)
        check_qpy_version(model.instructions.qpy_version)
        boxes = list(model.instructions.to_quantum_circuit())
    for box in boxes:
        if box.operation.name != "box":
            why = f"{box.operation.name!r} is no box"
            raise not_loadable(why)
        on_device = QuantumCircuit(_register(facts), list(box.clbits))
        _physical_qubits(box, facts)  # refuses what has no place on the device
        on_device.append(box.operation, box.qubits, box.clbits)
        facts.check(on_device)
    return model, boxes


def _body(box: CircuitInstruction) -> Iterable[CircuitInstruction]:
    body: Iterable[CircuitInstruction] = box.operation.blocks[0]
    return body


def _register(facts: DeviceFacts) -> QuantumRegister:
    return QuantumRegister(facts.num_qubits, "q")


def _physical_qubits(box: CircuitInstruction, facts: DeviceFacts) -> list[int]:
    """Return the box's qubits in the order of the device, in which results are given."""
    register = _register(facts)
    try:
        return sorted(register.index(qubit) for qubit in box.qubits)
    except ValueError as error:
        why = "a box acts on qubits that are not the device's"
        raise not_loadable(why) from error


# -- the older kind: circuits


def _learn_circuits(params: dict[str, Any], facts: DeviceFacts) -> Outcome:
    params = decode_tagged(params)
    circuits, options = params.get("circuits"), params.get("options", {})
    if not isinstance(circuits, list) or not all(isinstance(c, QuantumCircuit) for c in circuits):
        why = "circuits is not a list of circuits"
        raise not_loadable(why)
    try:
        wanted = CircuitOptions.model_validate(options)
    except ValidationError as error:
        why = f"{error.error_count()} options are not what they should be"
        raise not_loadable(why) from error
    found: Counter[_Layer] = Counter()
    for circuit in circuits:
        facts.check(circuit)
        found.update(_layers(circuit))
    layers = [layer for layer, _ in found.most_common(wanted.max_layers_to_learn)]
    runs = wanted.num_randomizations * wanted.shots_per_randomization
    result = {"data": [_without_error(layer, facts) for layer in layers], "metadata": {}}
    return Outcome(
        result=json.dumps(result, cls=RuntimeEncoder).encode(),
        executions=runs * BASES * len(wanted.layer_pair_depths) * len(layers),
    )


def _layers(circuit: QuantumCircuit) -> Iterator[_Layer]:
    """Yield the layers of gates on two qubits each, none of which share a qubit."""
    layer: list[tuple[str, tuple[int, ...]]] = []
    for instruction in circuit.data:
        qubits = tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
        if any(set(qubits) & set(pair) for _, pair in layer):
            yield tuple(sorted(layer))
            layer = []
        if isinstance(instruction.operation, Gate) and len(qubits) == 2:  # noqa: PLR2004 - a pair
            layer.append((instruction.operation.name, qubits))
    if layer:
        yield tuple(sorted(layer))


def _without_error(layer: _Layer, facts: DeviceFacts) -> LayerError:
    qubits = sorted(qubit for _, pair in layer for qubit in pair)
    circuit = QuantumCircuit(len(qubits))
    for name, pair in layer:
        places = [qubits.index(qubit) for qubit in pair]
        circuit.append(Gate(name, len(places), []), places)
    paulis = PauliList([_label(term, len(qubits)) for term in _terms(qubits, facts)])
    return LayerError(circuit, qubits, PauliLindbladError(paulis, np.zeros(len(paulis))))


def _label(term: _Term, length: int) -> str:
    letters = dict(zip(term[1], term[0], strict=True))
    return "".join(letters.get(place, "I") for place in reversed(range(length)))
