"""The task runner that holds one session for the flow run it serves."""

import inspect
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from prefect.client.schemas.objects import RunInput
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture, PrefectFutureList
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from prefect_qsession.config.backends import LEAST_BUSY, LeastBusy
from prefect_qsession.config.options import (
    SessionOptions,
    policy_fields,
    refuse_unknown,
    shows_options,
)
from prefect_qsession.credentials import QiskitRuntimeCredentials, runtime_for
from prefect_qsession.exceptions import NotInSessionFlow
from prefect_qsession.policies import SessionPolicy, resolve_policy
from prefect_qsession.prefect_api.blocks import saved_name
from prefect_qsession.prefect_api.clients import a_run_begins_here, one_client_for_all_tasks
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
            `RayTaskRunner`, or such a class; a `ThreadPoolTaskRunner` if left out.
        max_workers: Threads for submitted tasks; as `ThreadPoolTaskRunner` has it if left out.
        options: How its sessions are opened, held and let go, as `SessionOptions` declares them.
            A duration is text such as "2h 30m", seconds or a timedelta.

    Raises:
        InvalidMaxTime: `max_time` is no duration.
        InvalidSetting: Another option is not of the right kind.
        TypeError: There is no such option; both a task runner and `max_workers` are given; or the
            task runner is none, or holds a session itself.
    """

    @shows_options()
    def __init__(
        self,
        credentials: str | QiskitRuntimeCredentials | None = None,
        *,
        backend: str | LeastBusy | None = None,
        policy: str | SessionPolicy | None = None,
        task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
        max_workers: int | None = None,
        **options: Unpack[SessionOptions],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        refuse_unknown(options, inspect.signature(SessionTaskRunner).parameters)
        # As Prefect's flow has it.
        runner = task_runner() if isinstance(task_runner, type) else task_runner
        if isinstance(runner, SessionTaskRunner):
            raise TypeError("A SessionTaskRunner takes any task runner but another one of its kind")
        if runner is not None and not isinstance(runner, TaskRunner):
            raise TypeError(f"task_runner={task_runner!r} is no task runner of Prefect's")
        if runner is not None and max_workers is not None:
            raise TypeError("Give max_workers to the task runner: it runs the tasks")
        self._credentials = credentials
        self._backend = backend
        self._policy = policy
        self._options = options
        self._policy_fields = policy_fields(options)
        self._tasks = runner or ThreadPoolTaskRunner[Any](max_workers)
        self._starting: Lock | None = None
        self._is_to_start = False
        self._running_tasks = ExitStack()
        self._shared_client = ExitStack()
        self.flow_run_session: FlowRunSession | None = None
        """The session of the flow run that this runner serves, while it does."""

    def duplicate(self) -> Self:
        """Return a runner with the same configuration, for another flow run."""
        return self.with_options(task_runner=self._tasks.duplicate())

    @shows_options()
    def with_options(
        self,
        credentials: str | QiskitRuntimeCredentials | None = None,
        *,
        backend: str | LeastBusy | None = None,
        policy: str | SessionPolicy | None = None,
        task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
        max_workers: int | None = None,
        **options: Unpack[SessionOptions],
    ) -> Self:
        """Return a runner with the same configuration, but for what is said here."""
        runner = task_runner
        if runner is None and (
            max_workers is None or not isinstance(self._tasks, ThreadPoolTaskRunner)
        ):
            runner = self._tasks
        said = {name: value for name, value in options.items() if value is not None}
        return type(self)(
            credentials or self._credentials,
            backend=backend or self._backend,
            policy=policy or self._policy,
            task_runner=runner,
            max_workers=max_workers,
            **cast("SessionOptions", {**self._options, **said}),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionTaskRunner) and self._configuration == other._configuration

    __hash__ = None  # type: ignore[assignment]  # as Prefect's own runners

    def __enter__(self) -> Self:
        super().__enter__()
        self._starting, self._is_to_start = Lock(), True
        # Nothing is opened or asked here, and no tasks are started but by a flow run: Prefect also
        # enters a duplicate for each task that it runs in another process, most of which submit
        # nothing.
        if a_run_begins_here():
            self._start_tasks()
        self._shared_client.enter_context(one_client_for_all_tasks())
        self.flow_run_session = FlowRunSession(self._make_manager)
        self.flow_run_session.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with ExitStack() as last_first:
            last_first.callback(super().__exit__, exc_type, exc_value, traceback)
            last_first.callback(self._shared_client.close)
            if session := self.flow_run_session:
                self.flow_run_session = None
                last_first.callback(session.__exit__)
                last_first.callback(session.stop_answering)
                # This joins the threads, so the session has to go before it.
                last_first.callback(self._end_tasks, exc_type, exc_value, traceback)
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
        future: PrefectFuture[Any] = self._tasks.submit(task, parameters, wait_for, dependencies)
        return future

    def map(
        self,
        task: "Task[Any, Any]",
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
    ) -> PrefectFutureList[PrefectFuture[Any]]:
        """Run the tasks as the task runner inside maps them, and return their futures."""
        self._start_tasks()
        futures = self._tasks.map(task, parameters, wait_for)
        return cast("PrefectFutureList[PrefectFuture[Any]]", futures)

    def cancel_all(self) -> None:
        """Tell submitted tasks to stop; Prefect calls this at every end of a flow run."""
        if cancel_all := getattr(self._tasks, "cancel_all", None):
            cancel_all()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # For whoever knows which task runner is inside: `get_dask_client()`, say.
            if name.startswith("__") or "_tasks" not in vars(self):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self._start_tasks()
            return getattr(self._tasks, name)

    def __getstate__(self) -> dict[str, Any]:
        # Pickled with its flow. What belongs to a flow run that goes on stays with that; and a
        # block that is saved can be loaded, so that its key need not travel.
        return {
            **self.__dict__,
            "_credentials": saved_name(self._credentials) or self._credentials,
            "_shared_client": ExitStack(),
            "_running_tasks": ExitStack(),
            "_starting": None,
            "_is_to_start": False,
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

    def _start_tasks(self) -> None:
        """Start the task runner inside, if it is not, and nothing that is over anew."""
        if self._starting is None:
            return
        with self._starting:
            if not self._is_to_start:
                return
            self._is_to_start = False
            tasks = self._running_tasks.enter_context(self._tasks)
            if not isinstance(tasks, ThreadPoolTaskRunner):
                # In the place of its own, for that is what its `map` calls.
                vars(tasks)["submit"] = partial(self._submit_to_process, tasks.submit)
                self._running_tasks.callback(vars(tasks).pop, "submit")

    def _end_tasks(self, *exc_info: Any) -> None:
        if self._starting is not None:
            with self._starting:
                self._is_to_start = False
        self._running_tasks.__exit__(*exc_info)

    def _submit_to_process(
        self,
        submit: Callable[..., PrefectFuture[Any]],
        task: "Task[Any, Any]",
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectFuture[Any]:
        # Outside any flow run it goes alone, and is refused a session if it asks for one.
        with suppress(NotInSessionFlow):
            task = with_worker_context(task, self._worker_context())
        return submit(task, parameters, wait_for, dependencies)

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

    @property
    def _configuration(self) -> tuple[object, ...]:
        return (self._credentials, self._backend, self._policy, self._policy_fields, self._tasks)
