"""The emulated service as a web application."""

import logging

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from prefect_qsession.emulator.faults.registry import Faults
from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.running.running_service import RunningService
from prefect_qsession.emulator.settings import CONTROL_PREFIX, RUNTIME_PREFIX
from prefect_qsession.emulator.wire.identity import Identity
from prefect_qsession.emulator.wire.requests import Emulation, require_key
from prefect_qsession.emulator.wire.routes import (
    backends,
    control,
    discovery,
    jobs,
    page,
    sessions,
    workloads,
)

logger = logging.getLogger(__name__)


def create_app(
    running: RunningService,
    identity: Identity,
    faults: Faults,
    *,
    with_control: bool,
    control_needs_key: bool,
) -> FastAPI:
    """Build the application. It starts nothing: the service is its caller's to start."""
    app = FastAPI(
        title="Emulated Qiskit Runtime service",
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{CONTROL_PREFIX}/openapi.json" if with_control else None,
        responses={"4XX": {"description": "Refused, in IBM's form or in bare text"}},
    )
    app.state.emulation = Emulation(running, identity, faults)
    app.include_router(discovery.router)
    for module in (backends, sessions, jobs, workloads):
        app.include_router(module.router, prefix=RUNTIME_PREFIX)
    if with_control:
        guards = [Depends(require_key)] if control_needs_key else []
        app.include_router(control.router, dependencies=guards)
        app.include_router(page.router, dependencies=guards)
    app.add_exception_handler(errors.ServiceError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_query)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(Exception, _admit_bug)
    return app


def _answer(error: errors.ServiceError) -> Response:
    return Response(error.body(), error.status, error.headers, media_type="application/json")


async def _refuse(_: Request, error: Exception) -> Response:
    if not isinstance(error, errors.ServiceError):
        raise TypeError(error)
    return _answer(error)


async def _refuse_query(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise TypeError(error)
    fields = sorted({".".join(map(str, problem["loc"])) for problem in error.errors()})
    return _answer(errors.invalid_query(f"invalid {', '.join(fields)}"))


async def _refuse_route(_: Request, error: Exception) -> Response:
    wrong_method = getattr(error, "status_code", 404) == 405  # noqa: PLR2004 - an HTTP status
    return _answer(errors.method_not_allowed() if wrong_method else errors.route_not_found())


async def _admit_bug(request: Request, _: Exception) -> Response:
    logger.error("unexpected error in %s %s", request.method, request.url.path)
    return _answer(errors.internal_error())
