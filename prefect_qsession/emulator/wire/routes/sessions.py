"""Sessions and batches."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from prefect_qsession.emulator.rules.records import Mode
from prefect_qsession.emulator.wire import documents
from prefect_qsession.emulator.wire.requests import (
    AskingInstance,
    Running,
    as_json,
    no_content,
    parsed,
    read_body,
    takes,
)

router = APIRouter(tags=["sessions"])


class SessionCreation(BaseModel):
    """What a client asks for when it opens a session or batch."""

    model_config = ConfigDict(strict=True)

    backend: str
    mode: Mode = "dedicated"
    max_ttl: Annotated[int, Field(ge=1)] | None = None
    instance: str | None = None


class SessionUpdate(BaseModel):
    """What a client may change about a session."""

    model_config = ConfigDict(strict=True)

    accepting_jobs: bool


@router.post("/sessions", openapi_extra=takes(SessionCreation))
async def create_session(request: Request, instance: AskingInstance, running: Running) -> Response:
    """Open a session or batch."""
    wanted = parsed(SessionCreation, await read_body(request))
    with running.up_to_date() as (service, now):
        session = service.create_session(instance, wanted.backend, wanted.mode, wanted.max_ttl, now)
        document = documents.session_document(session, now)
    return as_json(document)


@router.get("/sessions/{session_id}")
async def describe_session(session_id: str, instance: AskingInstance, running: Running) -> Response:
    """Describe a session."""
    with running.up_to_date() as (service, now):
        session = service.session(instance.crn, session_id)
        document = documents.session_document(session, now)
    return as_json(document)


@router.patch("/sessions/{session_id}", status_code=204, openapi_extra=takes(SessionUpdate))
async def update_session(
    session_id: str, request: Request, instance: AskingInstance, running: Running
) -> Response:
    """Close a session for new jobs; its queued jobs still run."""
    update = parsed(SessionUpdate, await read_body(request))
    with running.up_to_date() as (service, now):
        session = service.session(instance.crn, session_id)
        service.set_accepting_jobs(session, update.accepting_jobs, now)
    return no_content()


@router.delete("/sessions/{session_id}/close", status_code=204)
async def cancel_session(session_id: str, instance: AskingInstance, running: Running) -> Response:
    """Cancel a session: its queued jobs never run."""
    with running.up_to_date() as (service, now):
        service.cancel_session(service.session(instance.crn, session_id), now)
    return no_content()
