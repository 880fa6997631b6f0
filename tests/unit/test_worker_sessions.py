"""Which session the tasks of a flow run have in a process that works for many."""

import gc
from dataclasses import replace
from types import SimpleNamespace
from uuid import UUID, uuid4

from prefect import task
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext, TaskRunContext

from prefect_qsession.policies import resolve_policy
from prefect_qsession.workers.context import WorkerContext, with_worker_context
from prefect_qsession.workers.session import MOST_KEPT, WorkerSession, current_worker_session


@task
def some_task() -> None:
    """Do nothing."""


def runtime_on(backend):
    """Stand for what makes the way to the service."""


def brought_along() -> WorkerContext:
    """Return what a task of another flow run brings along."""
    policy = resolve_policy({}, None)
    return WorkerContext(uuid4(), 1, runtime_on, "ibm_manila", policy, None, "1")


def session_of(worker_context: WorkerContext) -> WorkerSession:
    """Ask for it as a task does that has brought this along."""
    carrier = with_worker_context(some_task, worker_context)
    run = SimpleNamespace(id=worker_context.flow_run_id, run_count=1)
    flow_run = FlowRun.model_construct(id=worker_context.flow_run_id, name="flow run", tags=[])
    around = FlowRunContext.model_construct(flow=None, flow_run=flow_run)
    with TaskRunContext.model_construct(task=carrier, task_run=run):
        return current_worker_session("sampler()", around)


def fill_the_cache() -> list[UUID]:
    """Have as many other flow runs come and go as are kept."""
    return [session_of(brought_along()).owner.flow_run_id for _ in range(MOST_KEPT + 1)]


def test_a_session_is_the_same_as_long_as_its_task_runs_however_many_come_between():
    """Another one would number the task's requests anew, and answer one by the job of another."""
    mine = brought_along()
    before = id(session_of(mine))

    fill_the_cache()

    assert before == id(session_of(mine))


def test_a_later_task_of_a_flow_run_finds_the_session_of_one_that_still_runs():
    """Each has brought along its own context."""
    first = brought_along()
    before = id(session_of(first))
    fill_the_cache()

    assert before == id(session_of(replace(first, place="2")))


def test_sessions_that_are_not_in_use_are_let_go():
    """All but the latest: a worker outlives the flow runs that it works for."""
    fill_the_cache()
    fill_the_cache()
    gc.collect()

    kept = [it for it in gc.get_objects() if isinstance(it, WorkerSession)]
    assert len(kept) <= MOST_KEPT + 2
