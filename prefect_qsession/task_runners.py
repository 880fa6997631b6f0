"""The task runner that holds one session for the flow run it serves."""

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Self, Unpack

from prefect.client.schemas.objects import RunInput
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from prefect_qsession.config.backends import LEAST_BUSY, LeastBusy
from prefect_qsession.config.options import SessionOptions, policy_fields, shows_options
from prefect_qsession.credentials import QiskitRuntimeCredentials, runtime_for
from prefect_qsession.exceptions import NotInSessionFlow
from prefect_qsession.policies import SessionPolicy, resolve_policy
from prefect_qsession.prefect_api.blocks import saved_name
from prefect_qsession.prefect_api.clients import one_client_for_all_tasks
from prefect_qsession.session.flow_run_sessions import FlowRunSession
from prefect_qsession.session.manager import SessionManager
from prefect_qsession.settings import QSessionSettings
from prefect_qsession.workers.context import WorkerContext, with_worker_context
from prefect_qsession.workers.session import current_worker_session


class SessionTaskRunner(TaskRunner[PrefectFuture[Any]]):
    """
    Hold one Qiskit Runtime session for the whole flow run, and run its tasks in threads, or where
    another task runner of Prefect's runs them.

    The session opens at the first quantum job, takes every job of the flow run, its tasks and its
    subflows, and is released when the flow run ends: closed if it completed, cancelled otherwise.
    It is released before the task runner waits for its tasks, so that one which hangs holds
    nothing. A task that runs in another process, on any machine, joins it: the flow's process opens
    the session, guards and releases it, also if no job is its own. A worker that dies, comes late
    or gets a task from another one submits no job twice.

    What is left out comes, when the flow run starts, from the `SessionPolicy` block, and then from
    `QSessionSettings`.

    Args:
        credentials: Name of a saved `QiskitRuntimeCredentials` block, or such a block.
        backend: Name of a backend, "least_busy", or `LeastBusy(...)` with filters.
        policy: Name of a saved `SessionPolicy` block, or such a block: the options below, as an
            operator sets them.
        task_runner: Runs submitted and mapped tasks: a `ProcessPoolTaskRunner`, `DaskTaskRunner`,
            `RayTaskRunner`; a `ThreadPoolTaskRunner` if left out.
        max_workers: Threads for submitted tasks; as `ThreadPoolTaskRunner` has it if left out.
        options: How its sessions are opened, held and let go, as `SessionOptions` declares them.
            A duration is text such as "2h 30m", seconds or a timedelta.

    Raises:
        InvalidMaxTime: `max_time` is no duration.
        InvalidSetting: Another option is not of the right kind.
        TypeError: Both a task runner and `max_workers` are given, or the task runner holds a
            session itself.
    """

    @shows_options
    def __init__(
        self,
        credentials: str | QiskitRuntimeCredentials | None = None,
        *,
        backend: str | LeastBusy | None = None,
        policy: str | SessionPolicy | None = None,
        task_runner: TaskRunner[Any] | None = None,
        max_workers: int | None = None,
        **options: Unpack[SessionOptions],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if isinstance(task_runner, SessionTaskRunner):
            raise TypeError("A SessionTaskRunner takes any task runner but another one of its kind")
        if task_runner is not None and max_workers is not None:
            raise TypeError("Give max_workers to the task runner: it runs the tasks")
        self._credentials = credentials
        self._backend = backend
        self._policy = policy
        self._options = options
        self._policy_fields = policy_fields(options)
        self._tasks = task_runner or ThreadPoolTaskRunner[Any](max_workers)
        self._starting: Lock | None = None
        self._has_started_tasks = False
        self._client = ExitStack()
        self.flow_run_session: FlowRunSession | None = None
        """The session of the flow run that this runner serves, while it does."""

    def duplicate(self) -> Self:
        """Return a runner with the same configuration, for another flow run."""
        return type(self)(
            self._credentials,
            backend=self._backend,
            policy=self._policy,
            task_runner=self._tasks.duplicate(),
            **self._options,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionTaskRunner) and self._configuration == other._configuration

    __hash__ = None  # type: ignore[assignment]  # as Prefect's own runners

    def __enter__(self) -> Self:
        super().__enter__()
        self._client.enter_context(one_client_for_all_tasks())
        # Nothing is opened or asked here: Prefect also enters a duplicate for each task that it
        # runs in another process.
        self.flow_run_session = FlowRunSession(self._make_manager)
        self.flow_run_session.__enter__()
        self._starting = Lock()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with ExitStack() as last_first:
            last_first.callback(super().__exit__, exc_type, exc_value, traceback)
            last_first.callback(self._client.close)
            if session := self.flow_run_session:
                self.flow_run_session = None
                last_first.callback(session.__exit__)
                last_first.callback(session.stop_answering)
                if self._has_started_tasks:
                    # This joins the threads, so the session has to go before it.
                    last_first.callback(self._tasks.__exit__, exc_type, exc_value, traceback)
                    self._has_started_tasks = False
                session.release_at_exit(exc_value)

    def submit(
        self,
        task: "Task[Any, Any]",
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectFuture[Any]:
        """Run the task where the task runner inside runs it, and return its future."""
        self._start_tasks()
        if not isinstance(self._tasks, ThreadPoolTaskRunner):
            task = with_worker_context(task, self._worker_context())
        future: PrefectFuture[Any] = self._tasks.submit(task, parameters, wait_for, dependencies)
        return future

    def cancel_all(self) -> None:
        """Tell submitted tasks to stop; Prefect calls this at every end of a flow run."""
        if cancel_all := getattr(self._tasks, "cancel_all", None):
            cancel_all()

    def __getstate__(self) -> dict[str, Any]:
        # Pickled with its flow. What belongs to a flow run that goes on stays with that; and a
        # block that is saved can be loaded, so that its key need not travel.
        return {
            **self.__dict__,
            "_credentials": saved_name(self._credentials) or self._credentials,
            "_client": ExitStack(),
            "_starting": None,
            "_has_started_tasks": False,
            "flow_run_session": None,
        }

    def _make_manager(self) -> SessionManager:
        credentials, backend = self._way_to_service()
        return SessionManager(
            lambda: runtime_for(credentials, backend),
            saved_name(credentials),
            resolve_policy(self._options, self._policy),
        )

    def _way_to_service(self) -> tuple[str | QiskitRuntimeCredentials | None, str | LeastBusy]:
        settings = QSessionSettings()
        backend = self._backend or settings.backend or LEAST_BUSY
        return (
            self._credentials or settings.credentials,
            LeastBusy() if backend == LEAST_BUSY else backend,
        )

    def _worker_context(self) -> WorkerContext:
        context = FlowRunContext.get()
        if context is not None and context.detached:
            # Submitted by a task that is in another process than its flow, to the cluster again.
            return current_worker_session("A task", context).worker_context_for_child()
        if self.flow_run_session is None:
            raise NotInSessionFlow("A task")
        credentials, backend = self._way_to_service()
        # A saved block goes by its name, so that its key need not travel.
        make_runtime = partial(runtime_for, saved_name(credentials) or credentials)
        return self.flow_run_session.worker_context(make_runtime, backend)

    def _start_tasks(self) -> None:
        """
        Start the task runner inside, when it is first needed.

        Prefect makes and enters a duplicate of this runner for each task in another process, most
        of which submit nothing.
        """
        if self._starting is None:
            raise RuntimeError("The task runner must be started before submitting work.")
        with self._starting:
            if not self._has_started_tasks:
                self._tasks.__enter__()
                self._has_started_tasks = True

    @property
    def _configuration(self) -> tuple[object, ...]:
        return (self._credentials, self._backend, self._policy, self._policy_fields, self._tasks)
