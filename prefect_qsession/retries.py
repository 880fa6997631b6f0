"""When Prefect should run a task of a session flow again."""

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from prefect_qsession.exceptions import QSessionError


def retry_if_it_can_help(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's signature
    """
    Tell Prefect whether to retry a failed task: for a task's `retry_condition_fn`.

    Of our own errors only those that may pass are worth it: a job that failed in passing, a service
    or a Prefect API that did not answer. A circuit that is not ISA, a refused key or a spent budget
    would fail again. Other errors are retried, as Prefect does by itself. A retry asks again for
    the jobs that the task has had, and pays only for what has no result.
    """
    error = state.data
    return error.retryable if isinstance(error, QSessionError) else True
