"""
Qiskit primitives bound to the session of the flow run they are asked for in.

Each is a real primitive of Qiskit's, so that any library that takes a primitive takes it. What has
been asked before in the flow run, by an attempt that failed, is answered by its job.
"""

from collections.abc import Iterable
from math import ceil
from typing import TYPE_CHECKING, Any

from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike
from qiskit.primitives.containers.sampler_pub import SamplerPub, SamplerPubLike

from prefect_qsession.config.modes import Mode
from prefect_qsession.ibm.circuits import each_circuit_seen_once
from prefect_qsession.ibm.isa import check_isa
from prefect_qsession.ibm.primitives import ClientPrimitive
from prefect_qsession.jobs.session_jobs import SessionJob
from prefect_qsession.prefect_api.threads import CarriedContext
from prefect_qsession.session.flow_run_sessions import (
    AnyFlowRunSession,
    current_flow_run_session,
    from_any_thread,
)

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit_ibm_runtime import IBMBackend, QuantumProgram, Session


DEFAULT_SHOTS = 4096
DEFAULT_PRECISION = 0.015625
"""What the service takes where neither a PUB nor the options say (docs: primitive options)."""


class _Bound:
    """What the three primitives share: a flow run's session, and options as the client has them."""

    def __init__(self, session: AnyFlowRunSession, primitive: ClientPrimitive) -> None:
        self._session = session
        self._primitive = primitive
        self._context = CarriedContext()
        """Of the task it was made in: used in a thread that carries none, it is that one's."""

    @property
    def options(self) -> Any:
        """The client's options object; what is set on it holds for later runs."""
        return self._primitive.options

    def backend(self) -> "IBMBackend":
        """Return the backend that jobs run on; this opens no session."""
        return self._context.run(self._session.backend)

    def _answer(
        self, circuits: "Iterable[QuantumCircuit]", arguments: Any, executions: int
    ) -> SessionJob:
        return self._context.run(self._answer_in_context, tuple(circuits), arguments, executions)

    def _answer_in_context(
        self, circuits: "tuple[QuantumCircuit, ...]", arguments: Any, executions: int
    ) -> SessionJob:
        backend = self._session.backend()
        with each_circuit_seen_once():
            # What cannot run at all must not open a session.
            check_isa(circuits, backend)
            submissions = self._session.submissions()
            shape = tuple((circuit.num_qubits, len(circuit.data)) for circuit in circuits)
            request = submissions.request(self._primitive, arguments, executions, shape)
            return SessionJob(submissions, request, submissions.answer(request))


class SessionEstimator(_Bound, BaseEstimatorV2):  # type: ignore[misc]  # Qiskit ships no types
    """Estimate expectation values in the flow run's session."""

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> SessionJob:
        """
        Submit the PUBs as one job, and return it; the first job of a flow run opens its session.

        Args:
            pubs: What to estimate: (ISA circuit, observables, parameter values, precision).
            precision: For PUBs that state none; the option `default_precision` if left out.

        Raises:
            NotISA: A circuit uses what the backend does not have; no session was opened for it.
            SessionError: The session is released, or lost.
            ServiceError: The service did not open the session, or did not accept the job.
        """
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        executions = sum(_shots_for(pub, self.options) for pub in coerced)
        return self._answer((pub.circuit for pub in coerced), coerced, executions)


class SessionSampler(_Bound, BaseSamplerV2):  # type: ignore[misc]  # Qiskit ships no types
    """Sample measurement outcomes in the flow run's session."""

    def run(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> SessionJob:
        """
        Submit the PUBs as one job, and return it; the first job of a flow run opens its session.

        Args:
            pubs: What to sample: (ISA circuit, parameter values, shots).
            shots: For PUBs that state none; the option `default_shots` if left out.

        Raises:
            NotISA: A circuit uses what the backend does not have; no session was opened for it.
            SessionError: The session is released, or lost.
            ServiceError: The service did not open the session, or did not accept the job.
        """
        coerced = [SamplerPub.coerce(pub, shots) for pub in pubs]
        default = self.options.default_shots or DEFAULT_SHOTS
        executions = sum((pub.shots or default) * pub.parameter_values.size for pub in coerced)
        return self._answer((pub.circuit for pub in coerced), coerced, executions)


class SessionExecutor(_Bound):
    """Run quantum programs as they stand in the flow run's session."""

    def run(self, program: "QuantumProgram") -> SessionJob:
        """
        Submit the program as one job, and return it; the first job of a flow run opens its session.

        Raises:
            NotISA: A circuit uses what the backend does not have; no session was opened for it.
            SessionError: The session is released, or lost.
            ServiceError: The service did not open the session, or did not accept the job.
        """
        circuits = (item.circuit for item in program.items)
        executions = program.shots * sum(item.size() for item in program.items)
        return self._answer(circuits, program, executions)


def _shots_for(pub: EstimatorPub, options: Any) -> int:
    """Return about how many shots it takes to estimate the PUB to its precision."""
    precision = pub.precision or options.default_precision or DEFAULT_PRECISION
    return ceil(precision**-2) * int(pub.parameter_values.size)


@from_any_thread
def estimator(options: Any = None, *, legacy: bool = False) -> SessionEstimator:
    """
    Return an Estimator for the flow run's session.

    Args:
        options: The client's `EstimatorOptions`, or a mapping of the same form.
        legacy: Take the older generation, whose pre- and post-processing the service does.

    Raises:
        NotInSessionFlow: No session flow runs here.
        NoLegacyPrimitives: The installed client has the older generation no more.
        InvalidOptions: The options are not those of this primitive.
    """
    session = current_flow_run_session("estimator()")
    return SessionEstimator(session, ClientPrimitive("estimator", options, legacy=legacy))


@from_any_thread
def sampler(options: Any = None, *, legacy: bool = False) -> SessionSampler:
    """
    Return a Sampler for the flow run's session.

    Args:
        options: The client's `SamplerOptions`, or a mapping of the same form.
        legacy: Take the older generation, whose pre- and post-processing the service does.

    Raises:
        NotInSessionFlow: No session flow runs here.
        NoLegacyPrimitives: The installed client has the older generation no more.
        InvalidOptions: The options are not those of this primitive.
    """
    session = current_flow_run_session("sampler()")
    return SessionSampler(session, ClientPrimitive("sampler", options, legacy=legacy))


@from_any_thread
def executor(options: Any = None) -> SessionExecutor:
    """
    Return an Executor for the flow run's session.

    Args:
        options: The client's `ExecutorOptions`, or a mapping of the same form.

    Raises:
        NotInSessionFlow: No session flow runs here.
        InvalidOptions: The options are not those of this primitive.
    """
    session = current_flow_run_session("executor()")
    return SessionExecutor(session, ClientPrimitive("executor", options))


@from_any_thread
def current_session() -> "Session":
    """
    Return the flow run's session as the client's own object, opened if need be; in job mode None.

    Leave its end to the flow run: do not close or cancel it, nor use it in a `with` statement.

    Raises:
        NotInSessionFlow: No session flow runs here.
        SessionError: The session is released, or lost.
        ServiceError: The service did not open it.
    """
    session = current_flow_run_session("current_session()").acquire()
    return None if session.mode is Mode.JOB else session.client_mode


@from_any_thread
def current_backend() -> "IBMBackend":
    """
    Return the flow run's backend, to transpile for; this opens no session.

    Raises:
        NotInSessionFlow: No session flow runs here.
        ConfigurationError: The block, instance or backend is unknown, or the backend is offline.
        ServiceError: The service refused the key, or could not be reached.
    """
    return current_flow_run_session("current_backend()").backend()
