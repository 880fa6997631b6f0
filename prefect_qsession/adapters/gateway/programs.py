"""
The program of a client-side estimator, made once and filled again where only the values change.

For every job the client boxes the circuit anew, builds what draws its randomizations, and makes a
calibration: 50 ms for four qubits of a device that has 127 (`benchmarks.preparing`), in which the
session is billed and the QPU waits. An iteration changes nothing of it but the values of the
parameters, and those stand in one array of the program.
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit_ibm_runtime.options_models import EstimatorOptions, ExecutorOptions
from qiskit_ibm_runtime.quantum_program import QuantumProgram
from samplomatic.quantum_program import SamplexItem

from prefect_qsession.adapters.gateway.fingerprints import fingerprint
from prefect_qsession.adapters.gateway.plain import plain

# Private: no public name makes an estimator's program without submitting it. Where the client has
# it no more, every job takes the public way. tests/unit/test_programs.py holds that whatever is
# filled is what the client makes.
try:
    from qiskit_ibm_runtime.executor_estimator.prepare import prepare
except ImportError:
    prepare = None

_ROLE = "_semantic_role"
"""Private: says which result the client makes of the program's. Its estimator sets it."""
_ESTIMATOR = "estimator_v2"

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
    options: ExecutorOptions
    places: tuple[NDArray[np.int64] | None, ...]
    """For each item, which of all values stands where; None for one without parameters."""

    def filled(self, values: NDArray[np.float64], options: EstimatorOptions) -> Prepared:
        """Return the program with these values, for options that differ in their tags alone."""
        program = copy(self.program)
        setattr(program, _ROLE, _ESTIMATOR)
        program.items = [
            item if places is None else _with_values(item, values[places])
            for item, places in zip(self.program.items, self.places, strict=True)
        ]
        # It says, beside what the result is made from, what the job was asked with.
        asked: Any = program.passthrough_data
        processor = asked["post_processor"]
        environment = {"environment": options.environment.model_dump()}
        program.passthrough_data = asked | {
            "post_processor": processor | {"options": processor["options"] | environment}
        }
        executor_options = copy(self.options)
        executor_options.environment = options.environment
        return Prepared(program, executor_options)


class PreparedPrograms:
    """
    Keep the programs of the latest requests, and fill them again; thread-safe.

    A request that comes once costs nothing. At the second, which differs from it in values alone,
    the client makes its program twice, and the two are compared: only if the one that is filled is
    the one that the client makes, down to the last bit, the third and all others are filled.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._forms: OrderedDict[Any, Any] = OrderedDict()
        """Of each request, its form; `_ONCE`, or None if it cannot be filled."""

    def fill(self, pubs: Sequence[EstimatorPub], options: EstimatorOptions) -> Prepared | None:
        """Return the program of a request; None if the client has to make it."""
        if prepare is None:
            return None
        numbered, values = _numbered(pubs)
        key = (fingerprint("estimator", numbered, options), options.max_execution_time)
        with self._lock:
            is_new = key not in self._forms
            form = self._forms.setdefault(key, _ONCE)
            self._forms.move_to_end(key)
            if len(self._forms) > KEPT:
                self._forms.popitem(last=False)
        if is_new:
            return None
        if form is _ONCE:
            form = _form(numbered, pubs, values, options)
            with self._lock:
                self._forms[key] = form
        return form.filled(values, options) if form else None


def _numbered(
    pubs: Sequence[EstimatorPub],
) -> tuple[list[EstimatorPub], NDArray[np.float64]]:
    """Return the PUBs with 0, 1, 2, ... in the place of their values, and the values in order."""
    numbered: list[EstimatorPub] = []
    arrays: list[NDArray[np.float64]] = [np.empty(0)]
    count = 0
    for pub in pubs:
        parameters = tuple(pub.circuit.parameters)
        values = pub.parameter_values.as_array(parameters)
        numbers = np.arange(count, count + values.size, dtype=float).reshape(values.shape)
        bindings = BindingsArray({parameters: numbers} if parameters else {}, values.shape[:-1])
        numbered.append(EstimatorPub(pub.circuit, pub.observables, bindings, pub.precision))
        arrays.append(values.ravel())
        count += values.size
    return numbered, np.concatenate(arrays)


def _form(
    numbered: Sequence[EstimatorPub],
    pubs: Sequence[EstimatorPub],
    values: NDArray[np.float64],
    options: EstimatorOptions,
) -> _Form | None:
    """Return the program that was made of numbers, if it can be filled; None if it cannot."""
    assert prepare is not None  # noqa: S101 - asked for before
    try:
        # Without the device, which only dynamical decoupling asks for, and refuses then.
        made, executor_options = prepare(numbered, options)
        mitigated: Any = made.passthrough_data
        is_random = any(it["mitigation"] not in _FIXED for it in mitigated["qiskit_mitigation"])
        if is_random or not hasattr(made, _ROLE):
            return None
        form = _Form(made, executor_options, tuple(_places(item) for item in made.items))
        expected, _ = prepare(pubs, options)
        is_same = _content(form.filled(values, options).program) == _content(expected)
    except Exception as error:  # noqa: BLE001 - the public way tells what is wrong, if anything is
        _logger.debug("A program cannot be filled: %s", error)
        return None
    return form if is_same else None


def _places(item: Any) -> NDArray[np.int64] | None:
    if not isinstance(item, SamplexItem) or _VALUES not in item.samplex_arguments:
        return None
    return np.asarray(item.samplex_arguments[_VALUES]).astype(np.int64)


def _with_values(item: SamplexItem, values: NDArray[np.float64]) -> SamplexItem:
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
    return _REFERENCE.sub(
        lambda found: names.setdefault(found.group(), f"basis {len(names)}"), repr(plain(program))
    )
