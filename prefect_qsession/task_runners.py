"""The task runner that holds one session for the flow run it serves."""

from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from prefect.client.schemas.objects import RunInput
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from prefect_qsession.credentials import QiskitRuntimeCredentials, load_credentials
from prefect_qsession.durations import Duration, max_time_seconds
from prefect_qsession.exceptions import MissingCredentials
from prefect_qsession.flow_run_sessions import FlowRunSession
from prefect_qsession.records import LeastBusy
from prefect_qsession.settings import QSessionSettings

if TYPE_CHECKING:
    from prefect_qsession.gateway import Runtime


LEAST_BUSY = "least_busy"


class SessionTaskRunner(TaskRunner[PrefectConcurrentFuture[Any]]):
    """
    Run tasks in threads, and hold one Qiskit Runtime session for the whole flow run.

    The session opens at the first quantum job, takes every job of the flow run, its tasks and its
    subflows, and is released when the flow run ends: closed if it completed, cancelled otherwise.
    It is released before the threads are joined, so that a task which hangs holds nothing.

    What is left out comes from `QSessionSettings` when the flow run starts.

    Args:
        credentials: Name of a saved `QiskitRuntimeCredentials` block, or such a block.
        backend: Name of a backend, "least_busy", or `LeastBusy(...)` with filters.
        max_time: The service ends the session this long after its first job started, whatever
            happens
            here: text such as "2h 30m", seconds or a timedelta. Always set; one hour by default.
        max_workers: Threads for submitted tasks; as `ThreadPoolTaskRunner` has it if left out.

    Raises:
        InvalidMaxTime: `max_time` is no duration.
    """

    def __init__(
        self,
        credentials: str | QiskitRuntimeCredentials | None = None,
        *,
        backend: str | LeastBusy | None = None,
        max_time: Duration | None = None,
        max_workers: int | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._credentials = credentials
        self._backend = LeastBusy() if backend == LEAST_BUSY else backend
        self._max_time_seconds = None if max_time is None else max_time_seconds(max_time)
        self._threads: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers)
        self._max_workers = max_workers
        self.flow_run_session: FlowRunSession | None = None
        """The session of the flow run that this runner serves, while it does."""

    def duplicate(self) -> Self:
        """Return a runner with the same configuration, for another flow run."""
        return type(self)(
            self._credentials,
            backend=self._backend,
            max_time=self._max_time_seconds,
            max_workers=self._max_workers,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionTaskRunner) and self._configuration == other._configuration

    __hash__ = None  # type: ignore[assignment]  # as Prefect's own runners

    def __enter__(self) -> Self:
        super().__enter__()
        settings = QSessionSettings()
        seconds = self._max_time_seconds or max_time_seconds(settings.max_time)
        credentials = self._credentials or settings.credentials
        backend = self._backend or settings.backend or LEAST_BUSY
        # Nothing is opened or asked here: Prefect also enters a duplicate for each task that it
        # runs in another process.
        self.flow_run_session = FlowRunSession(lambda: _runtime(credentials, backend), seconds)
        self.flow_run_session.__enter__()
        self._threads.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with ExitStack() as last_first:
            last_first.callback(super().__exit__, exc_type, exc_value, traceback)
            if session := self.flow_run_session:
                self.flow_run_session = None
                last_first.callback(session.__exit__)
                # This joins the threads, so the session has to go before it.
                last_first.callback(self._threads.__exit__, exc_type, exc_value, traceback)
                session.release_at_exit(exc_type)

    def submit(
        self,
        task: "Task[Any, Any]",
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectConcurrentFuture[Any]:
        """Run the task in a thread, and return its future."""
        return self._threads.submit(task, parameters, wait_for, dependencies)

    def cancel_all(self) -> None:
        """Tell submitted tasks to stop; Prefect calls this at every end of a flow run."""
        self._threads.cancel_all()

    @property
    def _configuration(self) -> tuple[object, ...]:
        return (self._credentials, self._backend, self._max_time_seconds, self._threads)


def _runtime(
    credentials: str | QiskitRuntimeCredentials | None, backend: str | LeastBusy
) -> "Runtime":
    from prefect_qsession.gateway import Runtime  # noqa: PLC0415 - slow to import

    if credentials is None:
        raise MissingCredentials
    block = load_credentials(credentials) if isinstance(credentials, str) else credentials
    return Runtime(block.get_service, LeastBusy() if backend == LEAST_BUSY else backend)
