"""The emulator's own routes, apart from the emulated ones: the record, and the hand clock."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from prefect_qsession.emulator import errors
from prefect_qsession.emulator.clock import HandClock
from prefect_qsession.emulator.routes.requests import TheConductor, as_json, parsed, read_body

router = APIRouter(prefix="/emulator", tags=["control"])


class ClockAdvance(BaseModel):
    """How far to move the hand clock."""

    model_config = ConfigDict(strict=True)

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


@router.get("/record")
async def record(conductor: TheConductor) -> Response:
    """Return every session and job as it stands."""
    with conductor.attending() as (service, now):
        sessions, jobs = service.records(now)
    return as_json(
        {
            "now": now,
            "sessions": [session.as_dict() for session in sessions],
            "jobs": [job.as_dict() for job in jobs],
        }
    )


@router.post("/clock/advance")
async def advance_clock(request: Request, conductor: TheConductor) -> Response:
    """Move the hand clock; answer when everything due on the way has happened."""
    wanted = parsed(ClockAdvance, await read_body(request))
    clock = conductor.clock
    if not isinstance(clock, HandClock):
        raise errors.ServiceError(409, errors.UNPUBLISHED, "The clock runs by itself.", "Wait.")
    return as_json({"now": await run_in_threadpool(clock.advance, wanted.seconds)})
