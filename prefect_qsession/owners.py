"""Which flow run a session belongs to, and how that flow run ended."""

from collections.abc import Callable
from dataclasses import dataclass
from logging import LoggerAdapter
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger


@dataclass(frozen=True)
class Owner:
    """The flow run that a session belongs to."""

    flow_run_id: UUID
    logger: "LoggerAdapter[Any]"
    read_state: Callable[[], State[Any] | None]
    """Returns the flow run's state as it is now; the final one from the task runner's exit on."""


def owner_in_context(context: FlowRunContext) -> Owner:
    """Return the flow run of this context as the owner."""
    flow_run = context.flow_run
    if flow_run is None:
        raise ValueError("a flow run context without a flow run")
    # Prefect hands a task runner's exit neither the exception nor the flow run, but it keeps this
    # very object up to date: at the exit it holds the final state, or Running if the run will be
    # retried.
    return Owner(
        flow_run_id=flow_run.id,
        logger=flow_run_logger(flow_run=flow_run, flow=context.flow),
        read_state=lambda: flow_run.state,
    )


def owner_above(context: FlowRunContext, enclosing_flow_run_id: UUID | None) -> Owner:
    """
    Return the flow run that shares its session with the subflow of this context.

    A subflow cannot see its parent's context, so this climbs through the API: up to the flow run
    that was started inside `enclosing_flow_run_id`, or to the top if that is None.
    """
    with get_client(sync_client=True) as client:
        flow_run = _parent(client, context.flow_run)
        while (above := _parent(client, flow_run)) and above.id != enclosing_flow_run_id:
            flow_run = above
    if flow_run is None:
        return owner_in_context(context)
    flow_run_id = flow_run.id

    def read_state() -> State[Any] | None:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(flow_run_id).state

    return Owner(
        flow_run_id=flow_run_id, logger=flow_run_logger(flow_run=flow_run), read_state=read_state
    )


def _parent(client: SyncPrefectClient, flow_run: FlowRun | None) -> FlowRun | None:
    """Return the flow run that runs this one as its subflow, if any."""
    if flow_run is None or flow_run.parent_task_run_id is None:
        return None
    parent_id = client.read_task_run(flow_run.parent_task_run_id).flow_run_id
    return client.read_flow_run(parent_id) if parent_id else None
