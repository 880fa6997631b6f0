"""
What is told of a session that another process than the flow's released: the event, and a word in
the session report, which nobody updates any more.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.logging.loggers import get_logger

from prefect_qsession.prefect_api.clients import short_timeout_client
from prefect_qsession.release.releasing import Reaped, ReleaseResult
from prefect_qsession.reporting.artifacts import RunArtifacts
from prefect_qsession.reporting.prefect_events import EventSubject, announce, by_guardian
from prefect_qsession.reporting.report.histories import Stage
from prefect_qsession.reporting.run_events import ReleasedBy, ReleasedEvent
from prefect_qsession.states import Release

logger = get_logger("qsession.release_notices")


def tell_released(found: Iterable[Reaped], by: ReleasedBy) -> None:
    """
    Tell of the sessions that were released here; never raises.

    Args:
        found: What came of each; of those that were not released now, nothing is told.
        by: Who did it.
    """
    for reaped in found:
        if reaped.result is ReleaseResult.RELEASED:
            entry = reaped.entry
            flow_run = _flow_run(entry.flow_run_id)
            subject = EventSubject(
                flow_run_id=entry.flow_run_id,
                flow_run_name=entry.flow_run_name,
                deployment_id=flow_run.deployment_id if flow_run else None,
                backend=entry.backend_name,
            )
            state = (reaped.outcome or Release.CANCEL).state
            _tell(ReleasedEvent(entry.session_id, state, by, reason=reaped.reason), subject)


def tell_of_guardian(flow_run: FlowRun, found: Iterable[Reaped]) -> None:
    """
    Tell of the sessions of a flow run that its guardian cancelled; never raises.

    What was open in the last report, and is neither open now nor was released here, is its work.
    The guardian emits the event by itself, where the API takes it; the report it cannot update.

    Args:
        flow_run: The flow run whose process is dead.
        found: What came of its sessions that were still recorded.
    """
    by_others = {it.entry.session_id for it in found if it.result is not ReleaseResult.OVER}
    try:
        artifacts = RunArtifacts(flow_run.id, may_exist=True)
        for session in artifacts.earlier_sessions():
            session_id = session["session_id"]
            is_over = Stage(session["stage"]).is_over
            if is_over or session_id in by_others or session["mode"] == "job":
                continue
            subject = EventSubject.of(flow_run, session.get("backend"))
            _tell(by_guardian(session_id, Release.CANCEL), subject)
        artifacts.close()
    except Exception as error:  # noqa: BLE001 - it is released; only the telling fails
        logger.debug("It could not be told what became of the sessions: %s", error)


def _tell(released: ReleasedEvent, subject: EventSubject) -> None:
    announce(released, subject)
    session_id, state = released.session_id, released.state
    note = (
        f"Session `{session_id}` was **{state}** by the {released.by}, "
        f"{datetime.now(UTC):%H:%M:%S} UTC. {released.reason} What follows is as of the last "
        "update."
    )
    try:
        artifacts = RunArtifacts(subject.flow_run_id, may_exist=True)
        artifacts.annotate_report(note, session_id, str(state))
        artifacts.close()
    except Exception as error:  # noqa: BLE001 - it is released; only the telling fails
        logger.debug("The session report could not be brought up to date: %s", error)


def _flow_run(flow_run_id: UUID) -> FlowRun | None:
    try:
        with short_timeout_client() as client:
            return client.read_flow_run(flow_run_id)
    except Exception as error:  # noqa: BLE001 - the event says as much as is known
        logger.debug("Flow run %s could not be read: %s", flow_run_id, error)
        return None
