"""A task runner whose tasks believe that they run in another process, and run here."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import cloudpickle
from prefect.client.schemas.objects import RunInput
from prefect.context import hydrated_context, serialize_context
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.task_engine import run_task_sync
from prefect.task_runners import TaskRunner
from prefect.tasks import Task

WORKERS = 3


class InProcessWorkers(TaskRunner[PrefectConcurrentFuture[Any]]):
    """
    Run tasks in threads that have nothing but what Prefect sends to a process: its own context,
    rebuilt, and the task as it was pickled. So a worker's part is played without the two seconds
    that a process takes to start.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._threads: ThreadPoolExecutor | None = None

    def duplicate(self) -> Self:
        """Return another one, for another flow run."""
        return type(self)()

    def __enter__(self) -> Self:
        super().__enter__()
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="history-worker")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None
        super().__exit__(exc_type, exc_value, traceback)

    def submit(
        self,
        task: "Task[Any, Any]",
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectConcurrentFuture[Any]:
        """Run the task in a thread without a context."""
        if self._threads is None:
            raise RuntimeError("Task runner is not started")
        task_run_id = uuid4()
        # Only what it takes along: the parameters stay as they are, so that the body sees them.
        carried = getattr(task, "__dict__", {}).get("qsession_worker_context")
        if carried is not None:
            task.qsession_worker_context = cloudpickle.loads(cloudpickle.dumps(carried))  # type: ignore[attr-defined]
        future = self._threads.submit(
            _run, serialize_context(), task, task_run_id, parameters, wait_for, dependencies
        )
        return PrefectConcurrentFuture(task_run_id, future)


def _run(
    context: dict[str, Any],
    task: "Task[Any, Any]",
    task_run_id: UUID,
    parameters: dict[str, Any],
    wait_for: Iterable[PrefectFuture[Any]] | None,
    dependencies: dict[str, set[RunInput]] | None,
) -> Any:
    with hydrated_context(context):
        return run_task_sync(
            task=task,
            task_run_id=task_run_id,
            parameters=parameters,
            wait_for=wait_for,
            return_type="state",
            dependencies=dependencies,
            context={},
        )
