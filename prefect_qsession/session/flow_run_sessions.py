"""
The session of one flow run: what the task runner, the primitives and the decorator share.

A `FlowRunSession` is made when a flow run enters its task runner, and found from whatever runs
inside that flow run through a context variable, which Prefect carries into tasks, threads and
subflows. A thread that carries none belongs to the one flow run that is under way in this process.
"""

import multiprocessing
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from functools import wraps
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, NoReturn, ParamSpec, Self, TypeVar
from uuid import UUID

from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import Pause

from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.exceptions import InOtherProcess, NotInSessionFlow, ThreadWithoutContext
from prefect_qsession.jobs.submissions import Submissions
from prefect_qsession.prefect_api.enclosing_runs import (
    enter_in,
    entered_in_any_thread,
    flows_around,
    is_entered,
)
from prefect_qsession.prefect_api.forks import HomeProcess, end_fork
from prefect_qsession.prefect_api.owners import (
    owner_above,
    owner_in_context,
    owner_through_api,
    retry_delay_seconds,
)
from prefect_qsession.prefect_api.threads import CarriedContext
from prefect_qsession.reporting.run_events import RunEvent
from prefect_qsession.session.manager import SessionManager
from prefect_qsession.states import Release
from prefect_qsession.workers.context import WorkerContext, task_context_in_any_thread
from prefect_qsession.workers.listener import WorkerListener
from prefect_qsession.workers.session import WorkerSession, current_worker_session

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend

    from prefect_qsession.ibm.service import Runtime
    from prefect_qsession.release.safeguards import SafeguardedWorkload

P = ParamSpec("P")
R = TypeVar("R")

_current: ContextVar["FlowRunSession | None"] = ContextVar(
    "qsession_flow_run_session", default=None
)

_waiting: ContextVar[SessionManager | None] = ContextVar("qsession_waiting", default=None)
"""The open session of a flow run whose next attempt begins here at once."""

_under_way: "dict[FlowRunSession, None]" = {}
"""Those that are entered in this process; a dict, which threads may change without a lock."""


class FlowRunSession:
    """
    Find, hold and release the session of one attempt of a flow run; every method is thread-safe.

    As a context manager it is the session of everything that starts inside. A fork of the process
    can neither use nor release it.

    Args:
        make_manager: Makes the session's manager; called once, when the flow run is known, unless
            that of the attempt before goes on. It may ask the Prefect API.
    """

    def __init__(self, make_manager: Callable[[], SessionManager]) -> None:
        self._make_manager = make_manager
        self._manager: SessionManager | None = None
        self._binding = Lock()
        self._is_bound = False
        self._over = False
        """Whether the session was released, be it before there was one."""
        self._submissions: Submissions | None = None
        self._iterations = count(1)
        self.task_run_names: dict[UUID, str] = {}
        """As they were before `track` put numbers into them."""
        self._enclosing: FlowRunContext | None = None
        self.has_begun = False
        """Whether the body of its flow run has."""
        self._process = HomeProcess()
        self._surroundings: Context | None = None
        """The context in which the flow run was entered."""
        self._runs: tuple[FlowRunContext | TaskRunContext, ...] = ()
        """What Prefect has entered in it since, as far as threads without a context need it."""
        self._previous: FlowRunSession | None = None
        self._listener: WorkerListener | None = None

    def __enter__(self) -> Self:
        # The context of the flow run itself does not exist yet; what is here is what it runs
        # inside.
        self._enclosing = FlowRunContext.get()
        self._previous = _current.get()
        _current.set(self)
        # Prefect runs nothing between the exit of one attempt and the entry of the next.
        if waiting := _waiting.get():
            self._manager = waiting
            waiting.go_on()
            _waiting.set(None)
        self._surroundings = copy_context()
        _under_way[self] = None
        return self

    def __exit__(self, *_exc_info: object) -> None:
        _under_way.pop(self, None)
        # Not reset(token): an async generator flow that is left by `break` ends in another context.
        _current.set(self._previous)

    def backend(self) -> "IBMBackend":
        """Return the backend; this opens no session."""
        return self._bind(FlowRunContext.get()).backend()

    def emit(self, event: RunEvent) -> None:
        """Emit an event of the flow run."""
        self._bind(FlowRunContext.get()).emit(event)

    def next_iteration(self) -> int:
        """Return the number of the next iteration of a flow that does not count them itself."""
        return next(self._iterations)

    def acquire(self) -> "SafeguardedWorkload":
        """Return the open session, opening it if there is none; raises as the lifecycle does."""
        return self._bind(FlowRunContext.get()).acquire()

    def submissions(self) -> Submissions:
        """
        Return what answers the requests of this attempt of the flow run.

        Raises:
            NotInSessionFlow: Which flow run it is, is not known here.
        """
        manager = self._bind(FlowRunContext.get())
        with self._binding:
            if self._submissions is None:
                if manager.owner is None:
                    raise _unknown_flow_run("A job")
                self._submissions = Submissions(manager, manager.owner)
            return self._submissions

    def worker_context(
        self, make_runtime: "Callable[[str | LeastBusy], Runtime]", backend: str | LeastBusy
    ) -> WorkerContext:
        """
        Return what a task that runs in another process takes along, to join the session.

        Args:
            make_runtime: Makes its way to the service.
            backend: As it was asked for.

        Raises:
            NotInSessionFlow: Which flow run it is, is not known here.
        """
        manager = self._bind(FlowRunContext.get())
        with self._binding:
            if manager.owner is None:
                raise _unknown_flow_run("A task")
            if self._listener is None:
                self._listener = WorkerListener(manager, manager.owner)
                self._listener.start()
            return self._listener.worker_context(make_runtime, backend)

    def stop_answering(self) -> None:
        """Leave tasks in other processes without an answer from now on."""
        if self._listener is not None:
            self._listener.stop()

    def enter_body(self, context: FlowRunContext) -> None:
        """Note that the body of the session's flow run begins."""
        self.has_begun = True
        self._bind(context)

    def release(self, outcome: Release) -> None:
        """
        Close or cancel the session, as `SessionManager.release` does, and tell what is left.

        A fork that comes here ends instead: the flow run is its parent's, and so is its end.
        """
        if not self._process.is_this:
            end_fork(None)
        # In this order, and without the lock, which is held while the API is asked: a thread that
        # comes to its first job now makes the manager, and looks here afterwards.
        self._over = True
        if manager := self._manager:
            manager.release(outcome)
            try:
                if self._listener is not None:
                    self._listener.drain()
            finally:
                manager.events.finish(is_complete=outcome is Release.CLOSE)

    def release_after(self, error: BaseException) -> None:
        """
        Release as the error that ends the body asks.

        Kept if the flow run's next attempt begins soon, closed if it begins later: jobs that were
        accepted may still be wanted then. A fork ends, as in `release`.
        """
        if not self._process.is_this:
            end_fork(error)
        manager = self._manager
        delay = retry_delay_seconds(manager.owner.flow_run) if manager and manager.owner else None
        if manager is None or delay is None or not isinstance(error, Exception):
            self.release(outcome_after(error))
        elif delay > manager.policy.keep_for_retry_seconds:
            self.release(Release.CLOSE)
        else:
            manager.keep_for_next_attempt(delay)

    def release_at_exit(self, error: BaseException | None) -> None:
        """Release by what a task runner's exit sees of the end: an error, or the final state."""
        if not self._process.is_this:
            return
        manager = self._manager
        if error is not None or manager is None:
            self.release(outcome_after(error) if error else Release.CLOSE)
            return
        owner = manager.owner
        try:
            state = owner.read_state() if owner else None
        except Exception as unreadable:  # noqa: BLE001 - whatever it is, the session must go
            manager.logger.warning("The final state is unreadable, so cancelling: %s", unreadable)
            state = None
        if owner and state and state.is_running() and manager.open_session:
            # Prefect has waited out the delay, and begins the next attempt right after this. That
            # attempt may end without ever looking for its session.
            manager.owner = owner_through_api(owner.flow_run)
            manager.keep_for_next_attempt(0.0)
            _waiting.set(manager)
            return
        self.release(Release.CLOSE if state and state.is_completed() else Release.CANCEL)

    @property
    def is_of_this_process(self) -> bool:
        """Whether it is no fork that asks."""
        return self._process.is_this

    def check_process(self, asked_for: str) -> None:
        """
        Do nothing if the session is this process's own.

        Raises:
            InOtherProcess: It is a fork of that.
        """
        self._process.check(asked_for)

    def context_for_threads(self) -> Context | None:
        """
        Return a context for a thread that carries none; None if the flow run has not begun.

        It is that of the flow run, or of the task where that is in another process than its flow.
        """
        if not (self._runs and all(map(is_entered, self._runs))):
            self._runs = self._find_runs()
        if self._surroundings is None or not self._runs:
            return None
        context = self._surroundings.copy()
        for run in self._runs:
            enter_in(context, run)
        return context

    def _find_runs(self) -> tuple[FlowRunContext | TaskRunContext, ...]:
        around = entered_in_any_thread(FlowRunContext)
        flow = next((flow for flow in around if session_owned_by(flow) is self), None)
        if flow is None or not flow.detached:
            return (flow,) if flow else ()
        # Between two attempts of the task there is none.
        task = task_context_in_any_thread(flow.flow_run)
        return (flow, task) if task else ()

    def __reduce__(self) -> NoReturn:
        raise InOtherProcess("What is sent to another process", "it has the flow run's own session")

    def _bind(self, context: FlowRunContext | None) -> SessionManager:
        """
        Learn which flow run owns the session, from whatever of it comes here first.

        Raises:
            NotInSessionFlow: No flow run is known here, or this is a fork of its process.
        """
        self._process.check("This")
        if self._manager and self._is_bound:
            return self._manager
        if context is None:
            raise _unknown_flow_run("A session")
        with self._binding:
            if self._manager and self._is_bound:
                return self._manager
            if session_owned_by(context) is self:
                self._runs = (context,)
                owner = owner_in_context(context, self._enclosing)
            else:
                flow_run = self._enclosing.flow_run if self._enclosing else None
                owner = owner_above(context, flow_run.id if flow_run else None)
            manager, waiting = self._manager, self._manager
            if manager is None or (
                manager.owner and manager.owner.flow_run_id != owner.flow_run_id
            ):
                # The attempt that it waited for never began: Prefect's server was gone, say.
                self._manager = manager = self._make_manager()
                if waiting:
                    waiting.release(Release.CANCEL)
            manager.owner = owner
            self._is_bound = True
            if self._over:
                manager.release(Release.CANCEL)
            return manager


AnyFlowRunSession = FlowRunSession | WorkerSession
"""A flow run's session as the flow's process has it, or a task in another process."""


def _unknown_flow_run(asked_for: str) -> NotInSessionFlow:
    return NotInSessionFlow(asked_for, "the flow run it would belong to is not known")


def outcome_after(error: BaseException) -> Release:
    """Return how to release the session of a flow run that this error ends."""
    # A pause is no failure, nor is a generator flow that its caller has read as far as wanted. An
    # async one is: Prefect reports it as failed, or stumbles over it and reports nothing.
    return Release.CLOSE if isinstance(error, Pause | GeneratorExit) else Release.CANCEL


def session_owned_by(context: FlowRunContext | None) -> FlowRunSession | None:
    """Return the session of this very flow run; None if it shares its parent's, or has none."""
    session = getattr(context.task_runner, "flow_run_session", None) if context else None
    return session if isinstance(session, FlowRunSession) else None


def from_any_thread(function: Callable[P, R]) -> Callable[P, R]:
    """
    Have a function called from a thread that carries no context run in that of a session flow run.

    As long as one is under way in this process, and no more. In other threads nothing changes.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if _is_without_context():
            here = _sessions_of_this_process()
            context = here[0].context_for_threads() if len(here) == 1 else None
            if context is not None:
                return CarriedContext(context).run(function, *args, **kwargs)
        return function(*args, **kwargs)

    return call


def current_flow_run_session(asked_for: str) -> AnyFlowRunSession:
    """
    Return the session that whatever runs here belongs to.

    Args:
        asked_for: What needs it, for the error message.

    Raises:
        NotInSessionFlow: No session flow runs here, or it is not known which.
    """
    session = _current.get()
    if session is None:
        raise _no_session(asked_for)
    session.check_process(asked_for)
    rebuilt = _rebuilt_context_of(session)
    return session if rebuilt is None else current_worker_session(asked_for, rebuilt)


def _is_without_context() -> bool:
    return _current.get() is None and FlowRunContext.get() is None


def _sessions_of_this_process() -> list[FlowRunSession]:
    return [session for session in list(_under_way) if session.is_of_this_process]


def _no_session(asked_for: str) -> NotInSessionFlow:
    if not _is_without_context():
        return NotInSessionFlow(asked_for)
    if len(_sessions_of_this_process()) > 1:
        reason = "this thread carries no context, and several session flow runs are under way here"
        return ThreadWithoutContext(asked_for, reason)
    if _under_way or multiprocessing.parent_process() is not None:
        return InOtherProcess(asked_for, "this process was started by another one")
    return NotInSessionFlow(asked_for)


def _rebuilt_context_of(session: FlowRunSession) -> FlowRunContext | None:
    """
    Return the context of the session's flow run, if its own process is another one than this.

    Prefect rebuilds the context of a remote task with a runner of its own, which would open a
    session of its own, for every such task.
    """
    around = (context for context in flows_around() if session_owned_by(context) is session)
    return next((context for context in around if context.detached), None)
