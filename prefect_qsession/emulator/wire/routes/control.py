"""The emulator's own routes, apart from the emulated ones: record, hand clock and faults."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from prefect_qsession.emulator.faults.fault import Fault
from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.running.clock import HandClock
from prefect_qsession.emulator.settings import CONTROL_PREFIX, DeviceStatus
from prefect_qsession.emulator.wire.requests import (
    Running,
    as_json,
    emulation,
    no_content,
    parsed,
    read_body,
    takes,
)

router = APIRouter(prefix=CONTROL_PREFIX, tags=["control"])


class ClockAdvance(BaseModel):
    """How far to move the hand clock."""

    model_config = ConfigDict(strict=True)

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class DeviceUpdate(BaseModel):
    """Whether a device works."""

    model_config = ConfigDict(strict=True)

    status: DeviceStatus


@router.get("/record")
async def record(running: Running) -> Response:
    """Return every session and job as it stands."""
    with running.up_to_date() as (service, now):
        sessions, jobs = service.records(now)
    return as_json(
        {
            "now": now,
            "sessions": [session.as_dict() for session in sessions],
            "jobs": [job.as_dict() for job in jobs],
        }
    )


@router.post("/clock/advance", openapi_extra=takes(ClockAdvance))
async def advance_clock(request: Request, running: Running) -> Response:
    """Move the hand clock; answer when everything due on the way has happened."""
    wanted = parsed(ClockAdvance, await read_body(request))
    clock = running.clock
    if not isinstance(clock, HandClock):
        raise errors.ServiceError(409, errors.UNPUBLISHED, "The clock runs by itself.", "Wait.")
    return as_json({"now": await run_in_threadpool(clock.advance, wanted.seconds)})


@router.put("/devices/{name}", status_code=204, openapi_extra=takes(DeviceUpdate))
async def update_device(name: str, request: Request, running: Running) -> Response:
    """Take a device into maintenance (`paused`), or out of service (`offline`), or back."""
    wanted = parsed(DeviceUpdate, await read_body(request))
    with running.up_to_date() as (service, now):
        service.set_device_status(name, wanted.status, now)
    return no_content()


@router.get("/faults")
async def list_faults(request: Request) -> Response:
    """Return the faults, and how often each has struck."""
    faults = emulation(request).faults
    return as_json({"faults": [standing.as_dict() for standing in faults.standing]})


@router.post("/faults")
async def add_fault(request: Request) -> Response:
    """Have a fault strike from now on."""
    wanted = parsed(RootModel[Fault], await read_body(request)).root
    return as_json(emulation(request).faults.add(wanted).as_dict())


@router.delete("/faults", status_code=204)
async def clear_faults(request: Request) -> Response:
    """Take all faults away; what they held back goes on."""
    emulation(request).faults.clear()
    return no_content()
