"""
What a task takes along to another process, to join the session of its flow run there.

Prefect rebuilds a flow run's context for such a task from fixed fields, with a task runner that
knows nothing of the flow's own. The task object itself goes along with every task runner, so our
context is put on a copy of it.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.context import TaskRunContext
from prefect.tasks import Task

from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.config.modes import Mode
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.prefect_api.enclosing_runs import entered_in_any_thread, tasks_around

if TYPE_CHECKING:
    from prefect_qsession.ibm.service import Runtime

LONGEST_PLACE = 24

_ATTRIBUTE = "qsession_worker_context"


@dataclass(frozen=True)
class JobDestination:
    """Where jobs go, as the flow's process tells it."""

    backend_name: str
    session_id: str
    mode: Mode


@dataclass(frozen=True)
class WorkerContext:
    """
    All that it takes to join a flow run's session.

    The way to the service holds a key only if the credentials were never saved: a saved block goes
    by its name.
    """

    flow_run_id: UUID
    """The flow run that the session belongs to."""
    attempt: int
    make_runtime: "Callable[[str | LeastBusy], Runtime]"
    """Makes the way to the service, given the backend; works in any process that has the plugin."""
    backend: str | LeastBusy
    policy: ResolvedPolicy
    session: JobDestination | None
    """The one that was open when the task was submitted, if one was."""
    place: str
    """Where in the flow run the task was submitted: the same in every attempt that does the same,
    and when the task is moved from one worker to another."""

    def for_child(self, number: int, session: JobDestination | None) -> Self:
        """Return that of a task which this one's submits, and of which number."""
        return replace(self, place=_within(self.place, number), session=session or self.session)


def _within(place: str, number: int) -> str:
    path = f"{place}.{number}"
    # It goes into a job's tag, whose length the service limits.
    return path if len(path) <= LONGEST_PLACE else blake2b(path.encode(), digest_size=8).hexdigest()


def with_worker_context(task: Task[Any, Any], worker_context: WorkerContext) -> Task[Any, Any]:
    """Return the task as it is, with this context."""
    carrier = copy(task)
    setattr(carrier, _ATTRIBUTE, worker_context)
    return carrier


def current_worker_context() -> tuple[WorkerContext, TaskRunContext] | None:
    """Return that of the task that runs here, or that it runs inside, and Prefect's."""
    for context in tasks_around():
        worker_context = getattr(context.task, _ATTRIBUTE, None)
        if isinstance(worker_context, WorkerContext):
            return worker_context, context
    return None


def task_context_in_any_thread(flow_run: FlowRun | None) -> TaskRunContext | None:
    """Return that of the task that this flow run has sent here, in whatever thread it runs."""
    found = [
        context
        for context in entered_in_any_thread(TaskRunContext)
        if isinstance(getattr(context.task, _ATTRIBUTE, None), WorkerContext)
        and flow_run is not None
        and context.task_run.flow_run_id == flow_run.id
    ]
    # Prefect enters that of the task which has submitted it as well, and before.
    return max(found, key=lambda context: context.start_time, default=None)
