"""Which flow run a session belongs to, how that flow run ends, and what Prefect knows of it now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from logging import LoggerAdapter
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentTaskRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger

from prefect_qsession.prefect_api.clients import short_timeout_client

TAG = "qsession"
"""On every flow run that has opened a session, and on every entry of the ledger."""


@dataclass(frozen=True)
class Owner:
    """The flow run that a session belongs to."""

    flow_run: FlowRun
    logger: "LoggerAdapter[Any]"
    read_state: Callable[[], State[Any] | None]
    """Returns the flow run's state as it is now; the final one from the task runner's exit on."""
    times_out_at: datetime | None = None
    """When its flow's `timeout_seconds` are over, if it has any and they are known here."""
    is_in_rerun: bool = False
    """Whether the flow run that it is a subflow of is at its second attempt, or a later one."""

    @property
    def flow_run_id(self) -> UUID:
        """The id of the flow run."""
        return self.flow_run.id


def owner_in_context(context: FlowRunContext, enclosing: FlowRunContext | None = None) -> Owner:
    """Return the flow run of this context as the owner; it may be a subflow of an enclosing one."""
    flow_run = context.flow_run
    if flow_run is None:
        raise ValueError("a flow run context without a flow run")
    # Prefect hands a task runner's exit neither the exception nor the flow run, but it keeps this
    # very object up to date: at the exit it holds the final state, or Running if the run will be
    # retried.
    timeout = context.flow.timeout_seconds if context.flow else None
    parent = enclosing.flow_run if enclosing else None
    return Owner(
        flow_run=flow_run,
        logger=flow_run_logger(flow_run=flow_run, flow=context.flow),
        read_state=lambda: flow_run.state,
        times_out_at=context.start_time + timedelta(seconds=timeout) if timeout else None,
        is_in_rerun=parent is not None and parent.run_count > 1,
    )


def owner_above(context: FlowRunContext, enclosing_flow_run_id: UUID | None) -> Owner:
    """
    Return the flow run that shares its session with the subflow of this context.

    A subflow cannot see its parent's context, so this climbs through the API: up to the flow run
    that was started inside `enclosing_flow_run_id`, or to the top if that is None.
    """
    with short_timeout_client() as client:
        flow_run = _parent(client, context.flow_run)
        while (above := _parent(client, flow_run)) and above.id != enclosing_flow_run_id:
            flow_run = above
    return owner_through_api(flow_run) if flow_run else owner_in_context(context)


def owner_through_api(flow_run: FlowRun) -> Owner:
    """Return this flow run as the owner, its state to be read from the API."""

    def read_state() -> State[Any] | None:
        with short_timeout_client() as client:
            return client.read_flow_run(flow_run.id).state

    return Owner(flow_run, logger=flow_run_logger(flow_run=flow_run), read_state=read_state)


def root_flow_run_id(flow_run: FlowRun) -> UUID:
    """Return the flow run at the top, which Prefect's runner or worker knows; asks the API."""
    if flow_run.parent_task_run_id is None:
        return flow_run.id
    with short_timeout_client() as client:
        while above := _parent(client, flow_run):
            flow_run = above
    return flow_run.id


def tag_flow_run(flow_run: FlowRun, *tags: str) -> None:
    """Mark the flow run as one with a session, and by these tags, for people's filters."""
    new = [tag for tag in (TAG, *tags) if tag not in flow_run.tags]
    if not new:
        return
    with short_timeout_client() as client:
        client.update_flow_run(flow_run.id, tags=[*flow_run.tags, *new])
    flow_run.tags.extend(new)


def retry_delay_seconds(flow_run: FlowRun) -> float | None:
    """Return how long after a failure now the flow run will be tried again; None if it will not."""
    # As the API's own rule has it: another attempt as long as run_count, which counts this one,
    # does not exceed the retries.
    policy = flow_run.empirical_policy
    if flow_run.run_count > (policy.retries or 0):
        return None
    return float(policy.retry_delay or 0)


def runs_before(owner: Owner) -> list[UUID]:
    """
    Return the ids of the flow runs that earlier attempts were; none, without asking, at the first.

    Its own, if it has begun before. A flow run that is retried may make its subflows anew: then
    those before them in their place, which the API tells.
    """
    flow_run = owner.flow_run
    # A flow run that was suspended begins anew in another process, and its count does not tell.
    has_begun_before = flow_run.run_count > 1 or bool(flow_run.empirical_policy.pause_keys)
    runs = [flow_run.id] if has_begun_before else []
    if not owner.is_in_rerun or flow_run.parent_task_run_id is None:
        return runs
    place = FlowRunFilterParentTaskRunId(any_=[flow_run.parent_task_run_id])
    with short_timeout_client() as client:
        siblings = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_task_run_id=place),
            sort=FlowRunSort.START_TIME_ASC,
        )
    return [*(each.id for each in siblings if each.id != flow_run.id), *runs]


def _parent(client: SyncPrefectClient, flow_run: FlowRun | None) -> FlowRun | None:
    """Return the flow run that runs this one as its subflow, if any."""
    if flow_run is None or flow_run.parent_task_run_id is None:
        return None
    parent_id = client.read_task_run(flow_run.parent_task_run_id).flow_run_id
    return client.read_flow_run(parent_id) if parent_id else None
