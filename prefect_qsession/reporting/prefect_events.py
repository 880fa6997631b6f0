"""
Prefect events of what happens to a session, a job or an iteration; automations can act on them.

Which there are, and what they carry, stands in `run_events`; what they are about, here.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, cast
from uuid import NAMESPACE_OID, UUID, uuid5

from prefect.client.schemas.objects import FlowRun
from prefect.events import Event, emit_event
from prefect.logging.loggers import get_logger

from prefect_qsession.prefect_api.clients import bare_request
from prefect_qsession.prefect_api.requests import OCCURRED, HttpRequest
from prefect_qsession.reporting.run_events import ReleasedBy, ReleasedEvent, RunEvent
from prefect_qsession.states import Release

PROCESS_DIED = "Its flow's process died."

logger = get_logger("qsession.events")

LABELS = frozenset({"state", "outcome", "by", "mode", "instead", "budget", "program"})
"""What a payload says in one word is a label of the resource too, `qsession.` before it: triggers
match labels, not payloads."""


@dataclass(frozen=True)
class EventSubject:
    """The flow run that something happens in, and where."""

    flow_run_id: UUID
    flow_run_name: str
    deployment_id: UUID | None = None
    backend: str | None = None
    session_id: str | None = None
    """The session of the jobs, where the event itself does not name one."""

    @classmethod
    def of(
        cls, flow_run: FlowRun, backend: str | None, session_id: str | None = None
    ) -> "EventSubject":
        """Say it of a flow run that Prefect knows."""
        return cls(flow_run.id, flow_run.name, flow_run.deployment_id, backend, session_id)


def announce(event: RunEvent, subject: EventSubject, occurred: datetime | None = None) -> None:
    """
    Emit Prefect's event of ours; returns within a millisecond, never raises.

    Its resource is the job or the session, or else the flow run; the others, the deployment and the
    backend are related. Prefect sends events from a thread of its own, and drops them where there
    is no API.
    """
    try:
        emit_event(**_event(event, subject), occurred=occurred)
    except Exception as error:  # noqa: BLE001 - whatever it is, the flow must not fail for it
        logger.debug("The event %s could not be emitted: %s", event.name, error)


def guardian_requests(session_id: str, subject: EventSubject) -> dict[Release, HttpRequest]:
    """
    Return the requests by which a guardian, which is without Prefect, tells of its release.

    One for each outcome; `OCCURRED` in their bodies stands for the time. None at all where there is
    no API that outlives this process.
    """
    return {
        outcome: request
        for outcome in Release
        if (request := _request(by_guardian(session_id, outcome), subject))
    }


def by_guardian(session_id: str, outcome: Release) -> ReleasedEvent:
    """Return the event that a guardian has released a session."""
    return ReleasedEvent(session_id, outcome.state, ReleasedBy.GUARDIAN, reason=PROCESS_DIED)


def _request(event: RunEvent, subject: EventSubject) -> HttpRequest | None:
    fields = Event(**_event(event, subject)).model_dump(mode="json", exclude={"occurred"})
    return bare_request("POST", "/events", json.dumps([{"occurred": OCCURRED, **fields}]))


def _event(event: RunEvent, subject: EventSubject) -> dict[str, Any]:
    resource, *related = resources(event, subject)
    # Prefect wants the roles of what is related, and of nothing else.
    resource.pop("prefect.resource.role")
    told: dict[str, Any] = {
        "event": f"qsession.{event.name}",
        "resource": resource | _labels(event),
        "related": related,
        "payload": payload(event),
    }
    if isinstance(event, ReleasedEvent):
        # A session is released once, however many find it out: Prefect keeps one event of an id.
        told["id"] = uuid5(NAMESPACE_OID, f"qsession.{event.name}.{event.session_id}")
    return told


def payload(event: RunEvent) -> dict[str, Any]:
    """Return what an event of it carries: what is known of its fields."""
    # Every kind of event is a dataclass.
    names = [field.name for field in fields(cast("Any", event))]
    found = {name: getattr(event, name) for name in names}
    return {
        name: value.value if isinstance(value, Enum) else value
        for name, value in found.items()
        if value is not None
    }


def resources(event: RunEvent, subject: EventSubject) -> Iterator[dict[str, str]]:
    """Yield what an event is about, the first, and what it is related to."""
    if job_id := getattr(event, "job_id", None):
        yield _resource("job", f"qsession.job.{job_id}", f"job {job_id}")
    session_id = getattr(event, "session_id", None)
    if session_id or (job_id and subject.session_id):
        name = session_id or subject.session_id
        yield _resource("session", f"qsession.session.{name}", f"session {name}")
    yield _resource("flow-run", f"prefect.flow-run.{subject.flow_run_id}", subject.flow_run_name)
    if subject.deployment_id:
        yield _resource("deployment", f"prefect.deployment.{subject.deployment_id}")
    if backend := getattr(event, "backend", None) or subject.backend:
        yield _resource("backend", f"qsession.backend.{backend}", backend)


def _resource(role: str, resource_id: str, name: str | None = None) -> dict[str, str]:
    named = {"prefect.resource.name": name} if name else {}
    return {"prefect.resource.id": resource_id, "prefect.resource.role": role, **named}


def _labels(event: RunEvent) -> dict[str, str]:
    return {
        f"qsession.{name}": value
        for name, value in payload(event).items()
        if name in LABELS and isinstance(value, str)
    }
