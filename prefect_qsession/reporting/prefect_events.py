"""
Prefect events of what happens to a session, a job or an iteration; automations can act on them.

Which there are, and what they carry, stands in `happenings`; what they are about, here.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from prefect.client.schemas.objects import FlowRun
from prefect.events import Event, emit_event
from prefect.logging.loggers import get_logger

from prefect_qsession.prefect_api.clients import bare_request
from prefect_qsession.prefect_api.requests import OCCURRED, HttpRequest
from prefect_qsession.reporting.run_events import Happening, ReleasedBy, SessionReleased
from prefect_qsession.states import Outcome

PROCESS_DIED = "Its flow's process died."

logger = get_logger("qsession.events")

LABELS = frozenset({"state", "outcome", "by", "mode", "instead", "budget", "program"})
"""What a payload says in one word is a label of the resource too, `qsession.` before it: triggers
match labels, not payloads."""


@dataclass(frozen=True)
class About:
    """The flow run that something happens in, and where."""

    flow_run_id: UUID
    flow_run_name: str
    deployment_id: UUID | None = None
    backend: str | None = None
    session_id: str | None = None
    """The session of the jobs, where the happening itself does not name one."""

    @classmethod
    def of(cls, flow_run: FlowRun, backend: str | None, session_id: str | None = None) -> "About":
        """Say it of a flow run that Prefect knows."""
        return cls(flow_run.id, flow_run.name, flow_run.deployment_id, backend, session_id)


def announce(happening: Happening, about: About, occurred: datetime | None = None) -> None:
    """
    Emit the event of a happening; returns within a millisecond, never raises.

    Its resource is the job or the session, or else the flow run; the others, the deployment and the
    backend are related. Prefect sends events from a thread of its own, and drops them where there
    is no API.
    """
    try:
        emit_event(**_event(happening, about), occurred=occurred)
    except Exception as error:  # noqa: BLE001 - whatever it is, the flow must not fail for it
        logger.debug("The event %s could not be emitted: %s", happening.event, error)


def guardian_requests(session_id: str, about: About) -> dict[Outcome, HttpRequest]:
    """
    Return the requests by which a guardian, which is without Prefect, tells of its release.

    One for each outcome; `OCCURRED` in their bodies stands for the time. None at all where there is
    no API that outlives this process.
    """
    return {
        outcome: request
        for outcome in Outcome
        if (request := _request(by_guardian(session_id, outcome), about))
    }


def by_guardian(session_id: str, outcome: Outcome) -> SessionReleased:
    """Return the fact that a guardian has released a session."""
    return SessionReleased(session_id, outcome.state, ReleasedBy.GUARDIAN, reason=PROCESS_DIED)


def _request(happening: Happening, about: About) -> HttpRequest | None:
    fields = Event(**_event(happening, about)).model_dump(mode="json", exclude={"occurred"})
    return bare_request("POST", "/events", json.dumps([{"occurred": OCCURRED, **fields}]))


def _event(happening: Happening, about: About) -> dict[str, Any]:
    resource, *related = resources(happening, about)
    # Prefect wants the roles of what is related, and of nothing else.
    resource.pop("prefect.resource.role")
    told: dict[str, Any] = {
        "event": f"qsession.{happening.event}",
        "resource": resource | _labels(happening),
        "related": related,
        "payload": payload(happening),
    }
    if isinstance(happening, SessionReleased):
        # A session is released once, however many find it out: Prefect keeps one event of an id.
        told["id"] = uuid5(NAMESPACE_OID, f"qsession.{happening.event}.{happening.session_id}")
    return told


def payload(happening: Happening) -> dict[str, Any]:
    """Return what an event of it carries: what is known of its fields."""
    found = {field.name: getattr(happening, field.name) for field in _fields(happening)}
    return {
        name: value.value if isinstance(value, Enum) else value
        for name, value in found.items()
        if value is not None
    }


def resources(happening: Happening, about: About) -> list[dict[str, str]]:
    """Return what a happening is about, the first, and what it is related to."""
    return list(_resources(happening, about))


def _resources(happening: Happening, about: About) -> Iterator[dict[str, str]]:
    if job_id := getattr(happening, "job_id", None):
        yield _resource("job", f"qsession.job.{job_id}", f"job {job_id}")
    session_id = getattr(happening, "session_id", None)
    if session_id or (job_id and about.session_id):
        name = session_id or about.session_id
        yield _resource("session", f"qsession.session.{name}", f"session {name}")
    yield _resource("flow-run", f"prefect.flow-run.{about.flow_run_id}", about.flow_run_name)
    if about.deployment_id:
        yield _resource("deployment", f"prefect.deployment.{about.deployment_id}")
    if backend := getattr(happening, "backend", None) or about.backend:
        yield _resource("backend", f"qsession.backend.{backend}", backend)


def _resource(role: str, resource_id: str, name: str | None = None) -> dict[str, str]:
    named = {"prefect.resource.name": name} if name else {}
    return {"prefect.resource.id": resource_id, "prefect.resource.role": role, **named}


def _labels(happening: Happening) -> dict[str, str]:
    return {
        f"qsession.{name}": value
        for name, value in payload(happening).items()
        if name in LABELS and isinstance(value, str)
    }


def _fields(happening: Happening) -> Any:
    return fields(happening)  # type: ignore[arg-type]  # every kind of it is a dataclass
