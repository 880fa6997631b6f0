"""
The client's primitives of both generations, with their options checked before there is a session.

The default are the client-side ones, which send program `executor`; the client keeps them in
modules of their own until its top-level names switch to them. The legacy ones send `sampler` and
`estimator`.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import WeakKeyDictionary

from qiskit import QuantumCircuit
from qiskit_ibm_runtime import (
    EstimatorV2,
    Executor,
    IBMBackend,
    RuntimeJobV2,
    SamplerV2,
    Session,
    options,
    options_models,
)
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler

# Half public: documented nowhere, but what the client itself checks legacy primitives with. The
# client-side primitives check nothing, so that a circuit that is not ISA queues, fails and is paid
# for. tests/integration/test_bad_input.py holds the behaviour.
from qiskit_ibm_runtime.utils.utils import is_isa_circuit

from prefect_qsession.exceptions import InvalidOptions, NotISA
from prefect_qsession.ibm.encodings import EncodedExecutor
from prefect_qsession.ibm.errors import translated
from prefect_qsession.ibm.plain import digest, plain
from prefect_qsession.ibm.preflight import submitting
from prefect_qsession.ibm.programs import PreparedPrograms

Kind = Literal["estimator", "sampler", "executor"]

_CLIENT_SIDE = {
    "estimator": (Estimator, options_models.EstimatorOptions),
    "sampler": (Sampler, options_models.SamplerOptions),
    "executor": (Executor, options_models.ExecutorOptions),
}
_LEGACY = {
    "estimator": (EstimatorV2, options.EstimatorOptions),
    "sampler": (SamplerV2, options.SamplerOptions),
}


_programs = PreparedPrograms()
"""Of all flow runs in this process: tasks make their primitives anew."""


class ClientPrimitive:
    """
    One of the client's primitives, given its session only when it runs.

    Args:
        kind: Which primitive.
        options: The client's options object for it, a mapping of the same form, or None.
        legacy: Take the generation whose pre- and post-processing the service does.

    Raises:
        InvalidOptions: The options are not those of this primitive and generation.
    """

    def __init__(self, kind: Kind, options: Any = None, *, legacy: bool = False) -> None:
        self.program = f"{kind}-legacy" if legacy else kind
        """Which primitive, and of which generation."""
        self._class, options_class = (_LEGACY if legacy else _CLIENT_SIDE)[kind]
        if options is None or isinstance(options, Mapping):
            try:
                options = options_class(**(options or {}))
            except (TypeError, ValueError) as error:
                raise InvalidOptions(f"{kind}()", str(error)) from error
        if not isinstance(options, options_class):
            raise InvalidOptions(f"{kind}()", f"an object of {type(options).__qualname__}.")
        self.options: Any = options

    @property
    def job_tags(self) -> list[str]:
        """The tags that the options put on each job."""
        return list(self.options.environment.job_tags or ())

    def run(self, mode: Any, tags: Iterable[str], arguments: Any) -> RuntimeJobV2:
        """
        Submit a job and return the client's; asks once, and does not repeat what failed.

        Args:
            mode: What the job runs in: the client's session, batch or backend.
            tags: For the job, beside those of the options.
            arguments: What the client's primitive runs: PUBs, or a quantum program.

        Raises:
            SessionLost: The service has ended the session.
            ServiceError: The service did not accept the job, or may not have.
        """
        # Two levels: a copy of all there is takes longer than the job's encoding.
        options = copy(self.options)
        options.environment = copy(self.options.environment)
        options.environment.job_tags = [*self.job_tags, *tags]
        session_id = mode.session_id if isinstance(mode, Session) else None
        with translated("submit a job", session_id), submitting(session_id):
            if ready := _programs.fill(self.program, arguments, options):
                return EncodedExecutor(mode=mode, options=ready.options).run(ready.program)
            return self._class(mode=mode, options=options).run(arguments)


@dataclass
class _Checked:
    target: Any
    circuits: set[str] = field(default_factory=set)
    """What was found to be ISA, by content."""


_checked: "WeakKeyDictionary[IBMBackend, _Checked]" = WeakKeyDictionary()

_EVERYWHERE = {"barrier", "store"}
"""What a circuit may hold on any backend."""

MOST_CHECKED = 1000
"""Circuits of a backend that are remembered at a time."""


def check_isa(circuits: Iterable[QuantumCircuit], backend: IBMBackend) -> None:
    """
    Make sure that every circuit uses only gates and qubits that the backend has.

    What was found to be so is not looked at again, as long as the backend has the same target.

    Raises:
        NotISA: One does not; the message names the circuit and its first foreign instruction.
    """
    target = backend.target
    checked = _checked.get(backend)
    if checked is None or checked.target is not target or len(checked.circuits) > MOST_CHECKED:
        checked = _checked[backend] = _Checked(target)
    known = {*target.operation_names, *_EVERYWHERE}
    for circuit in circuits:
        # What is foreign is not looked into: it may be large, or fail there.
        content = digest(repr(plain(circuit))) if known.issuperset(circuit.count_ops()) else None
        if content in checked.circuits:
            continue
        if reason := is_isa_circuit(circuit, target):
            raise NotISA(circuit.name, backend.name, reason)
        if content is not None:
            checked.circuits.add(content)
