"""
What is asked of the service, in 32 hex digits: equal for equal content, in any process.

QPY will not do: it carries circuit names with counters, and parameters with random ids. So what is
asked is made canonical first (`canonical`, `circuits`), and that is hashed.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit import qpy
from qiskit.circuit import CircuitInstruction, Clbit, Qubit
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import PauliLindbladMap
from samplomatic.quantum_program import CircuitItem, QuantumProgram, SamplexItem
from samplomatic.samplex import Samplex

from prefect_qsession.ibm.canonical_form import attributes, canonical, digest, unlike
from prefect_qsession.ibm.circuits import canonical_operation
from prefect_qsession.ibm.internals import UNSET, samplex_content


def fingerprint(
    program: str, arguments: Sequence[EstimatorPub | SamplerPub] | QuantumProgram, options: Any
) -> str:
    """
    Return 32 hex digits of what is asked: equal if, and only if, the same is asked again.

    The same means: the same PUBs in the same order, bound to the same values, down to the last
    bit, with the same options. Names of circuits and of quantum registers do not count, nor do
    options that change no answer. A circuit's metadata counts for the PUBs, because the result
    gives it back.

    A value of a type that is unknown here makes the fingerprint a new one every time; that is
    logged, once a type. It does not raise, and does not change what it is given.

    Args:
        program: Which primitive, and of which generation.
        arguments: Coerced PUBs, or the program of an Executor.
        options: The client's own options object.
    """
    asked = (program, canonical(arguments), _options(options))
    return digest(repr(asked))


def _options(options: Any) -> Any:
    """All but those that change no answer; the image does, being the software that computes it."""
    content = attributes(options)
    del content["max_execution_time"]
    image = getattr(content.pop("environment"), "image", None)
    return (type(options).__qualname__, canonical(content), image)


for each in UNSET:
    canonical.register(each, lambda _: ("unset",))


@canonical.register(PauliLindbladMap)
def _noise(noise: Any) -> Any:
    return ("noise", noise.num_qubits, canonical(noise.to_sparse_list()))


@canonical.register(CircuitInstruction)
def _layer(instruction: Any) -> Any:
    """Of a noise model: outside its circuit, so that only its bits know where they are."""
    bits = [canonical(bit) for bit in (*instruction.qubits, *instruction.clbits)]
    return ("layer", canonical_operation(instruction.operation, {}), bits)


@canonical.register(Qubit)
@canonical.register(Clbit)
def _bit(bit: Any) -> Any:
    # No attribute tells a bit's register and index. One without a register has a counter there.
    text = repr(bit)
    return ("bit", text) if " register=" in text else unlike(bit)


@canonical.register(EstimatorPub)
def _estimator_pub(pub: Any) -> Any:
    precision = None if pub.precision is None else float(pub.precision)
    return ("estimator", *_bound(pub), canonical(pub.observables), precision)


@canonical.register(SamplerPub)
def _sampler_pub(pub: Any) -> Any:
    return ("sampler", *_bound(pub), None if pub.shots is None else int(pub.shots))


def _bound(pub: Any) -> Any:
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    return canonical(pub.circuit), canonical(pub.circuit.metadata or {}), canonical(values)


@canonical.register(ObservablesArray)
def _observables(observables: Any) -> Any:
    # Simplified: in the order of their Paulis, whatever the order they were added in.
    each = [one.simplify(0) for one in observables.sparse_observables_array().flat]
    return ("observables", observables.shape, [(one.num_qubits, _terms(one)) for one in each])


def _terms(observable: Any) -> Any:
    """Return the arrays that it consists of: a list of a thousand terms takes 60 times as long."""
    parts = (observable.coeffs, observable.bit_terms, observable.indices, observable.boundaries)
    return [canonical(np.asarray(part)) for part in parts]


@canonical.register(QuantumProgram)
def _program(program: Any) -> Any:
    content = (program.shots, program.meas_level, program.items, program.noise_maps)
    return ("program", canonical(content), canonical(program.passthrough_data))


@canonical.register(CircuitItem)
def _circuit_item(item: Any) -> Any:
    return ("circuit item", canonical((item.circuit, item.circuit_arguments, item.chunk_size)))


@canonical.register(SamplexItem)
def _samplex_item(item: Any) -> Any:
    content = (item.circuit, item.samplex, item.samplex_arguments, item.shape, item.chunk_size)
    return ("samplex item", canonical(content))


@canonical.register(Samplex)
def _samplex(samplex: Any) -> Any:
    content = samplex_content(samplex)
    if content is None:
        return unlike(samplex)
    graph, written = content
    [expressions] = qpy.load(io.BytesIO(base64.b64decode(written)))
    return ("samplex", canonical(graph), canonical(expressions))
