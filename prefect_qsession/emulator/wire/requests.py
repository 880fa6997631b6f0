"""What all routes share: who asks, how bodies are read, how answers are written."""

import base64
import json
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from prefect_qsession.emulator.faults.registry import Faults
from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.running.running_service import RunningService
from prefect_qsession.emulator.settings import InstanceSettings
from prefect_qsession.emulator.wire.identity import Identity

Model = TypeVar("Model", bound=BaseModel)

MAX_BODY_BYTES = 50_000_000

# Where the network leaves a job's failure in a request's scope, for the route that takes the job.
INJECTED_FAILURE = "emulator.injected_failure"


@dataclass(frozen=True)
class Emulation:
    """What the routes of one emulator work on."""

    running: RunningService
    identity: Identity
    faults: Faults


def emulation(request: Request) -> Emulation:
    """Return what the application emulates."""
    emulation: Emulation = request.app.state.emulation
    return emulation


async def asking_instance(request: Request) -> InstanceSettings:
    """Return the instance a request is for, or refuse."""
    headers = request.headers
    identity = emulation(request).identity
    return identity.instance(headers.get("authorization"), headers.get("service-crn"))


async def require_key(request: Request) -> None:
    """Refuse who has no key: a token or key as the client sends it, or a browser's password."""
    authorization = request.headers.get("authorization", "")
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            named = base64.b64decode(credentials, validate=True).decode()
        except ValueError:
            named = ""
        authorization = f"apikey {named.partition(':')[2]}"
    try:
        emulation(request).identity.instances_of(authorization)
    except errors.ServiceError:
        raise errors.KeyNeeded from None


async def asked_service(request: Request) -> RunningService:
    """Return the service that is asked."""
    return emulation(request).running


# Asynchronous on purpose: FastAPI runs plain functions in a thread, which costs more than they do.
AskingInstance = Annotated[InstanceSettings, Depends(asking_instance)]
Running = Annotated[RunningService, Depends(asked_service)]


def as_json(document: Any, status: int = 200) -> Response:
    """Write a document compactly."""
    text = json.dumps(document, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def no_content() -> Response:
    """Write the answer that holds nothing."""
    return Response(status_code=204)


async def read_body(request: Request) -> bytes:
    """Return the body; refuse one that is too large without holding it in memory."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        raise errors.body_too_large(MAX_BODY_BYTES)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise errors.body_too_large(MAX_BODY_BYTES)
    return bytes(body)


def parsed(model: type[Model], body: bytes) -> Model:
    """Read a body as *model*, or refuse with IBM's words."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise errors.invalid_body(describe(error)) from None


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """Describe the body a route reads by itself, for the description of the API."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def describe(error: ValidationError) -> str:
    """Say what is wrong with a body, without repeating its content."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['msg']}" for p in problems[:5])
