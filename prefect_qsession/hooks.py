"""
What Prefect's runner or worker does for a flow run whose process it has killed or lost.

The hook runs in the supervisor: in a thread of a `serve` process, or in a fresh process of a
worker. It sees nothing of the flow's memory; the ledger tells it which sessions there are, and the
saved block how to reach them. Without an open session it costs two requests to the Prefect API.
"""

from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger

from prefect_qsession.reporting.run_events import ReleasedBy
from prefect_qsession.states import Release


def release_recorded_sessions(
    flow: Flow[Any, Any],
    flow_run: FlowRun,
    state: State[Any],  # noqa: ARG001 - Prefect gives it by this name
) -> None:
    """
    Cancel every session that the ledger has of this flow run and its subflows.

    Attached to `on_cancellation` and `on_crashed` by `session_flow`. Never raises: what fails is
    logged, and left to the reaper.
    """
    # Where the flow is only imported, these would be for nothing.
    from prefect_qsession.reaper import release_recorded  # noqa: PLC0415
    from prefect_qsession.release.ledger import PrefectLedger  # noqa: PLC0415
    from prefect_qsession.release.release_notices import tell_of_guardian  # noqa: PLC0415

    logger = flow_run_logger(flow_run=flow_run, flow=flow)
    try:
        entries = PrefectLedger().entries(flow_run.id)
        found = release_recorded(entries, Release.CANCEL, ReleasedBy.HOOK)
        for reaped in found:
            logger.info("%s", reaped)
        tell_of_guardian(flow_run, found)
    except Exception as error:  # noqa: BLE001 - a hook that raises helps nobody
        logger.error("The sessions of this flow run could not be released: %s", error)  # noqa: TRY400
