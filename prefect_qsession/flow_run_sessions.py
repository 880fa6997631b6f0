"""
The session of one flow run: what the task runner, the primitives and the decorator share.

A `FlowRunSession` is made when a flow run enters its task runner, and found from whatever runs
inside that flow run through a context variable, which Prefect carries into tasks, threads and
subflows.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from logging import Logger, LoggerAdapter
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.logging.loggers import get_logger

from prefect_qsession.exceptions import (
    NotInSessionFlow,
    ServiceError,
    SessionLost,
    SessionNotOpen,
)
from prefect_qsession.lifecycle import SessionLifecycle
from prefect_qsession.owners import Owner, owner_above, owner_in_context
from prefect_qsession.states import Outcome

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit_ibm_runtime import IBMBackend, RuntimeJobV2

    from prefect_qsession.gateway import ClientPrimitive, GatewaySession, Runtime

_current: ContextVar["FlowRunSession | None"] = ContextVar(
    "qsession_flow_run_session", default=None
)


class FlowRunSession:
    """
    Hold one flow run's way to the service and its one session; every method is thread-safe.

    As a context manager it is the session of everything that starts inside.

    Args:
        make_runtime: Makes the way to the service; called once, when it is first needed.
        max_time_seconds: After this time the service ends the session by itself.
    """

    def __init__(self, make_runtime: "Callable[[], Runtime]", max_time_seconds: int) -> None:
        self._make_runtime = make_runtime
        self._max_time_seconds = max_time_seconds
        self._runtime: Runtime | None = None
        self._runtime_lock = Lock()
        self._lifecycle: SessionLifecycle[GatewaySession] = SessionLifecycle(self._open)
        self._owner: Owner | None = None
        self._enclosing: FlowRunContext | None = None
        self._in_body = False
        self._previous: FlowRunSession | None = None

    def __enter__(self) -> Self:
        # The context of the flow run itself does not exist yet; what is here is what it runs
        # inside.
        self._enclosing = FlowRunContext.get()
        self._previous = _current.get()
        _current.set(self)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        # Not reset(token): an async generator flow that is left by `break` ends in another context.
        _current.set(self._previous)

    def backend(self) -> "IBMBackend":
        """Return the backend; this opens no session."""
        with self._runtime_lock:
            if self._runtime is None:
                self._runtime = self._make_runtime()
        return self._runtime.backend()

    def acquire(self) -> "GatewaySession":
        """Return the open session, opening it if this is the first call."""
        return self._lifecycle.acquire()

    def submit(
        self,
        primitive: "ClientPrimitive",
        circuits: "Iterable[QuantumCircuit]",
        *arguments: Any,
        **keywords: Any,
    ) -> "RuntimeJobV2":
        """
        Submit a job into the session, after a look that its circuits can run on the backend at all.

        Raises:
            NotISA: A circuit uses what the backend does not have; no session was opened for it.
            SessionNotOpen: The flow run has released its session.
            SessionLost: The service has ended the session.
            ServiceError: The service did not open the session, or did not accept the job.
        """
        from prefect_qsession.gateway import check_isa  # noqa: PLC0415 - slow to import

        check_isa(circuits, self.backend())
        session = self.acquire()
        try:
            job = primitive.run(session, *arguments, **keywords)
        except (SessionLost, ServiceError) as error:
            if self._lifecycle.state.is_released:
                # Another thread ended the flow run meanwhile: it is not the service's doing.
                raise SessionNotOpen(session.session_id, self._lifecycle.state) from error
            if isinstance(error, SessionLost):
                self._lifecycle.lose()
            raise
        self._logger.debug("Submitted job %s into session %s.", job.job_id(), session.session_id)
        return job

    def enter_body(self, context: FlowRunContext) -> bool:
        """Note that the body of the session's flow run begins; return False if it has already."""
        self._adopt(context)
        first, self._in_body = not self._in_body, True
        return first

    def release(self, outcome: Outcome) -> None:
        """
        Close or cancel the session, if one is open; a repeated call does nothing.

        Never raises an `Exception`: a failure here must not hide how the flow run itself ended. It
        is logged as an error, with the id to release by hand.
        """
        try:
            released = self._lifecycle.release(outcome)
        except Exception as error:  # noqa: BLE001 - see above
            self._logger.error(  # noqa: TRY400 - a traceback would bury the id
                "Session %s may still be open: %s It ends %d s after its first job started.",
                self._session_id,
                error,
                self._max_time_seconds,
            )
        else:
            if released:
                self._log_release(outcome)

    def release_at_exit(self, error: type[BaseException] | None) -> None:
        """Release by what a task runner's exit sees of the end: an error, or the final state."""
        if error is not None:
            self.release(outcome_after(error))
            return
        try:
            state = self._owner.read_state() if self._owner else None
        except Exception as unreadable:  # noqa: BLE001 - whatever it is, the session must go
            self._logger.warning("The final state cannot be read, so cancelling: %s", unreadable)
            state = None
        self.release(Outcome.CLOSE if state and state.is_completed() else Outcome.CANCEL)

    @property
    def _session_id(self) -> str | None:
        session = self._lifecycle.session
        return session.session_id if session else None

    @property
    def _logger(self) -> "Logger | LoggerAdapter[Any]":
        return self._owner.logger if self._owner else get_logger("qsession")

    def _adopt(self, context: FlowRunContext) -> None:
        """Remember the flow run of this context as the session's owner, unless it is known."""
        if self._owner is not None:
            return
        if session_owned_by(context) is self:
            self._owner = owner_in_context(context)
        else:
            flow_run = self._enclosing.flow_run if self._enclosing else None
            self._owner = owner_above(context, flow_run.id if flow_run else None)

    def _open(self) -> "GatewaySession":
        if context := FlowRunContext.get():
            self._adopt(context)
        backend_name = self.backend().name
        assert self._runtime is not None  # noqa: S101 - backend() has made it
        session = self._runtime.open_session(self._max_time_seconds)
        self._logger.info(
            "Opened session %s on %s. It starts when its first job leaves the queue; the service "
            "ends it %d s after that at the latest.",
            session.session_id,
            backend_name,
            self._max_time_seconds,
        )
        return session

    def _log_release(self, outcome: Outcome) -> None:
        usage = ""
        session = self._lifecycle.session
        # After a cancel the process may have little time left, and a job may run on.
        if outcome is Outcome.CLOSE and session is not None:
            try:
                usage = f"; usage {session.details().usage_seconds:.1f} s"
            except Exception as error:  # noqa: BLE001 - it is released, only the figure is missing
                self._logger.debug("The usage of the session cannot be read: %s", error)
        self._logger.info("Session %s is %s%s.", self._session_id, self._lifecycle.state, usage)


def outcome_after(error: type[BaseException]) -> Outcome:
    """Return how to release the session of a flow run that an error of this type ends."""
    # A pause is no failure, nor is a generator flow that its caller has read as far as wanted.
    return Outcome.CLOSE if issubclass(error, Pause | GeneratorExit) else Outcome.CANCEL


def session_owned_by(context: FlowRunContext | None) -> FlowRunSession | None:
    """Return the session of this very flow run; None if it shares its parent's, or has none."""
    session = getattr(context.task_runner, "flow_run_session", None) if context else None
    return session if isinstance(session, FlowRunSession) else None


def current_flow_run_session(asked_for: str) -> FlowRunSession:
    """
    Return the session that whatever runs here belongs to.

    Args:
        asked_for: What needs it, for the error message.

    Raises:
        NotInSessionFlow: No session flow runs here, or it runs in another process.
    """
    session = _current.get()
    if session is None:
        raise NotInSessionFlow(asked_for)
    context = FlowRunContext.get()
    if context is not None and context.detached:
        # Prefect rebuilds the context of a remote task with a runner of its own, which would open a
        # session of its own, for every such task.
        raise NotInSessionFlow(asked_for, "this task runs in another process than its flow")
    return session
