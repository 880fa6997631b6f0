"""
The client's primitives of both generations, with their options checked before there is a session.

The default are the client-side ones, which send program `executor`; the client keeps them in
modules of their own until its top-level names switch to them. The legacy ones send `sampler` and
`estimator`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from qiskit import QuantumCircuit
from qiskit_ibm_runtime import (
    EstimatorV2,
    Executor,
    IBMBackend,
    RuntimeJobV2,
    SamplerV2,
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
from prefect_qsession.gateway.errors import translated
from prefect_qsession.gateway.sessions import GatewaySession

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
        self._class, options_class = (_LEGACY if legacy else _CLIENT_SIDE)[kind]
        if options is None or isinstance(options, Mapping):
            try:
                options = options_class(**(options or {}))
            except (TypeError, ValueError) as error:
                raise InvalidOptions(f"{kind}()", str(error)) from error
        if not isinstance(options, options_class):
            raise InvalidOptions(f"{kind}()", f"an object of {type(options).__qualname__}.")
        self.options: Any = options

    def run(self, session: GatewaySession, *arguments: Any, **keywords: Any) -> RuntimeJobV2:
        """
        Submit a job into the session and return the client's job.

        Raises:
            SessionLost: The service has ended the session.
            ServiceError: The service did not accept the job.
        """
        primitive = self._class(mode=session.client_session, options=self.options)
        with translated("submit a job", session.session_id):
            return primitive.run(*arguments, **keywords)


def check_isa(circuits: Iterable[QuantumCircuit], backend: IBMBackend) -> None:
    """
    Make sure that every circuit uses only gates and qubits that the backend has.

    Raises:
        NotISA: One does not; the message names the circuit and its first foreign instruction.
    """
    for circuit in circuits:
        if reason := is_isa_circuit(circuit, backend.target):
            raise NotISA(circuit.name, backend.name, reason)
