"""
The program of a client-side primitive, made once and filled again where only the values change.

For every job the client boxes the circuit anew, builds what draws its randomizations, makes a
calibration, and encodes all of it: 70 ms for four qubits of a device that has 127
(`benchmarks.preparing`), in which the session is billed and the QPU waits. An iteration changes
nothing of it but the values of the parameters, and those stand in one array of the program.
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime import QuantumProgram
from qiskit_ibm_runtime.options_models import EstimatorOptions, ExecutorOptions, SamplerOptions
from samplomatic.quantum_program import CircuitItem, SamplexItem

from prefect_qsession.ibm.canonical_form import canonical
from prefect_qsession.ibm.encodings import (
    EncodedProgram,
    decoded,
    encoded,
    refilled,
    with_environment,
)
from prefect_qsession.ibm.fingerprints import fingerprint
from prefect_qsession.ibm.internals import makes_programs, prepared, role

Pub: TypeAlias = EstimatorPub | SamplerPub
PrimitiveOptions: TypeAlias = EstimatorOptions | SamplerOptions

_ONCE = object()
"""In the place of a form: asked for once so far."""

KEPT = 8
"""Programs that are kept at a time; one for a large circuit takes some megabytes."""

_logger = logging.getLogger("prefect.qsession.programs")

_FIXED = (None, "trex")
"""Ways of mitigation that make the same of the same. Others fold gates at random, or learn."""

_VALUES = "parameter_values"
_REFERENCE = re.compile(r"basis\d+")
"""What a program calls the bases it measures in: counted over all programs of a process."""


@dataclass(frozen=True)
class Prepared:
    """A program as it can be submitted, and the options of the `Executor` that submits it."""

    program: QuantumProgram
    options: ExecutorOptions


@dataclass(frozen=True)
class _Form:
    """A program that was made of numbers in the place of values: they tell where each goes."""

    program: QuantumProgram
    """With the encoding that others are made from, if it brings one along."""
    options: ExecutorOptions
    places: tuple[NDArray[np.int64] | None, ...]
    """For each item, which of all values stands where; None for one without parameters."""

    def filled(self, values: NDArray[np.float64], options: PrimitiveOptions) -> Prepared:
        """Return the program with these values, for options that differ in their tags alone."""
        of_items = [None if places is None else values[places] for places in self.places]
        environment = options.environment.model_dump()
        program = copy(self.program)
        program.items = [
            item if new is None else _with_values(item, new)
            for item, new in zip(self.program.items, of_items, strict=True)
        ]
        program.passthrough_data = with_environment(program.passthrough_data, environment)
        if isinstance(program, EncodedProgram):
            program.encoding = refilled(program.encoding, _VALUES, of_items, environment)
        executor_options = copy(self.options)
        executor_options.environment = options.environment
        return Prepared(program, executor_options)


class PreparedPrograms:
    """
    Keep the programs of the latest requests, and fill them again; thread-safe.

    A request that comes once costs a fingerprint. At the second, which differs from it in values
    alone, the client makes its program twice, and the two are compared: only if the one that is
    filled is the one that the client makes, down to the last bit, it is sent, and so are the third
    and all others. While they are compared, requests beside that one go the client's way.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._forms: OrderedDict[Any, Any] = OrderedDict()
        """Of each request, its form; `_ONCE`, or None if it cannot be filled, or not yet."""

    def renew_lock(self) -> None:
        """In a fork: a thread of the parent may have held it, and is not there to release it."""
        self._lock = Lock()

    def fill(self, kind: str, pubs: Sequence[Pub], options: PrimitiveOptions) -> Prepared | None:
        """Return the program of a request; None if the client has to make it."""
        if not makes_programs(kind):
            return None
        numbered, values = _numbered(pubs)
        key = (fingerprint(kind, numbered, options), options.max_execution_time)
        with self._lock:
            is_new = key not in self._forms
            form = self._forms.setdefault(key, _ONCE)
            self._forms.move_to_end(key)
            if len(self._forms) > KEPT:
                self._forms.popitem(last=False)
            if form is _ONCE and not is_new:
                self._forms[key] = None
        if is_new:
            return None
        if form is _ONCE:
            try:
                # Of copies: a sampler's program has the very circuits it was made of.
                own = [_bound(pub, pub.circuit.copy(), pub.parameter_values) for pub in numbered]
                # If another thread has changed them since, it is not what it is known by.
                if fingerprint(kind, own, options) == key[0]:
                    form = _form(kind, own, pubs, values, options)
            finally:
                # What was cut off, by a task's timeout say, the next request may try.
                with self._lock:
                    if key in self._forms and self._forms[key] is None:
                        self._forms[key] = form
        return form.filled(values, options) if isinstance(form, _Form) else None


def _numbered(pubs: Sequence[Pub]) -> tuple[list[Pub], NDArray[np.float64]]:
    """Return the PUBs with 0, 1, 2, ... in the place of their values, and the values in order."""
    numbered: list[Pub] = []
    arrays: list[NDArray[np.float64]] = [np.empty(0)]
    count = 0
    for pub in pubs:
        parameters = tuple(pub.circuit.parameters)
        values = pub.parameter_values.as_array(parameters)
        numbers = np.arange(count, count + values.size, dtype=float).reshape(values.shape)
        bindings = BindingsArray({parameters: numbers} if parameters else {}, values.shape[:-1])
        numbered.append(_bound(pub, pub.circuit, bindings))
        arrays.append(values.ravel())
        count += values.size
    return numbered, np.concatenate(arrays)


def _bound(pub: Pub, circuit: QuantumCircuit, bindings: BindingsArray) -> Pub:
    if isinstance(pub, SamplerPub):
        return SamplerPub(circuit, bindings, pub.shots)
    return EstimatorPub(circuit, pub.observables, bindings, pub.precision)


def _form(
    kind: str,
    numbered: Sequence[Pub],
    pubs: Sequence[Pub],
    values: NDArray[np.float64],
    options: PrimitiveOptions,
) -> _Form | None:
    """Return the program that was made of numbers, if it can be filled; None if it cannot."""
    try:
        # Without the device, which only dynamical decoupling asks for, and refuses then.
        made, executor_options = prepared(kind, numbered, options)
        mitigated: Any = made.passthrough_data
        if any(it["mitigation"] not in _FIXED for it in mitigated.get("qiskit_mitigation", ())):
            return None
        form = _Form(made, executor_options, tuple(_places(item) for item in made.items))
        expected, _ = prepared(kind, pubs, options)
        if _content(form.filled(values, options).program) != _content(expected):
            return None
    except Exception as error:  # noqa: BLE001 - the public way tells what is wrong, if anything is
        _logger.debug("A program cannot be filled: %s", error)
        return None
    return _encoded_once(form, values, options) or form


def _encoded_once(
    form: _Form, values: NDArray[np.float64], options: PrimitiveOptions
) -> _Form | None:
    """Return the form with its encoding; None if the service does not read what is filled in."""
    try:
        made = form.filled(values, options)
        program = EncodedProgram.of(form.program)
        program.encoding = encoded(made.program, made.options)
        better = replace(form, program=program)
        other = better.filled(values + 1.0, options).program
        is_same = _content(decoded(other.encoding)) == _content(other)
    except Exception as error:  # noqa: BLE001 - then the client encodes every job, as it always did
        _logger.debug("A program has to be encoded anew each time: %s", error)
        return None
    return better if is_same else None


def _places(item: Any) -> NDArray[np.int64] | None:
    """Return which of the numbers stands where among the values of an item."""
    if isinstance(item, CircuitItem):
        values = item.circuit_arguments
    elif isinstance(item, SamplexItem) and _VALUES in item.samplex_arguments:
        values = item.samplex_arguments[_VALUES]
    else:
        return None
    return np.asarray(values).astype(np.int64)


def _with_values(item: Any, values: NDArray[np.float64]) -> CircuitItem | SamplexItem:
    if isinstance(item, CircuitItem):
        return CircuitItem(item.circuit, circuit_arguments=values, chunk_size=item.chunk_size)
    return SamplexItem(
        item.circuit,
        item.samplex,
        samplex_arguments={**dict(item.samplex_arguments.items()), _VALUES: values},
        shape=item.shape,
        chunk_size=item.chunk_size,
    )


def _content(program: QuantumProgram) -> str:
    """Return all there is to a program, its references by the order in which they come."""
    names: dict[str, str] = {}
    content = repr((canonical(program), role(program)))
    return _REFERENCE.sub(
        lambda found: names.setdefault(found.group(), f"basis {len(names)}"), content
    )
