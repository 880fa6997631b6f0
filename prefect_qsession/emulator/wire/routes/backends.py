"""Backends, and what an instance has used."""

import math
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.rules.qpus import Qpu
from prefect_qsession.emulator.rules.service import Service
from prefect_qsession.emulator.rules.times import isoformat
from prefect_qsession.emulator.wire import documents
from prefect_qsession.emulator.wire.requests import AskingInstance, Running, as_json

router = APIRouter(tags=["backends"])


@router.get("/backends")
async def list_backends(
    _instance: AskingInstance, running: Running, *, include_mocks: bool = False
) -> Response:
    """List the devices, and their mocks on request."""
    with running.up_to_date() as (service, _):
        qpus = [*service.qpus.values(), *(service.mock_qpus.values() if include_mocks else ())]
        devices = [documents.backend_summary(qpu) for qpu in qpus]
    return as_json({"devices": devices})


@router.get("/backends/{name}/configuration")
async def backend_configuration(
    name: str, _instance: AskingInstance, running: Running, calibration_id: str | None = None
) -> Response:
    """Describe a device's instructions and limits."""
    with running.up_to_date() as (service, _):
        if (qpu := _find(service, name, calibration_id)) is None:
            return _device_not_found()
    return Response(qpu.device.configuration, media_type="application/json")


@router.get("/backends/{name}/properties")
async def backend_properties(
    name: str,
    _instance: AskingInstance,
    running: Running,
    calibration_id: str | None = None,
    updated_before: datetime | None = None,
) -> Response:
    """Describe a device's calibration; nothing if it has none from before that time."""
    with running.up_to_date() as (service, _):
        if (qpu := _find(service, name, calibration_id)) is None:
            return _device_not_found()
    if updated_before is not None and updated_before.timestamp() < qpu.device.updated.timestamp():
        return as_json(None)
    return Response(qpu.device.properties, media_type="application/json")


@router.get("/backends/{name}/defaults")
async def backend_defaults(name: str, _instance: AskingInstance, running: Running) -> Response:
    """Return the pulse defaults, which no device has any more."""
    with running.up_to_date() as (service, _):
        found = _find(service, name, None) is not None
    return as_json(None) if found else _device_not_found()


@router.get("/backends/{name}/status")
async def backend_status(name: str, _instance: AskingInstance, running: Running) -> Response:
    """Tell whether a device works and how many jobs wait for it."""
    with running.up_to_date() as (service, _):
        qpu = _find(service, name, None)
        status = None if qpu is None else documents.backend_status(qpu)
    return _device_not_found() if status is None else as_json(status)


@router.get("/instances/usage")
async def instance_usage(instance: AskingInstance, running: Running) -> Response:
    """Tell what the instance has used of what it may use."""
    with running.up_to_date() as (service, now):
        account = service.account(instance.crn)
        used_seconds = account.used_seconds(now)
        is_reached = not account.seconds_left(now)
        period_seconds = service.settings.limits.usage_period_seconds
    usage = {
        "instance_id": instance.crn,
        "plan_id": f"emulated-plan-{instance.plan}",
        "usage_consumed_seconds": math.ceil(used_seconds),
        "usage_limit_reached": is_reached,
        "usage_period": {"start_time": isoformat(now - period_seconds), "end_time": isoformat(now)},
    }
    if account.limit_seconds is not None:
        usage["usage_limit_seconds"] = account.limit_seconds
    if account.allocation_seconds is not None:
        usage["usage_allocation_seconds"] = account.allocation_seconds
    return as_json(usage)


def _find(service: Service, name: str, calibration_id: str | None) -> Qpu | None:
    """Return a device's QPU; refuse a calibration, as there are none but the present one."""
    if calibration_id is not None:
        why = f"calibration_id {calibration_id} is unknown"
        raise errors.invalid_query(why)
    return service.qpus.get(name) or service.mock_qpus.get(name)


def _device_not_found() -> Response:
    # The service answers with bare text here.
    return PlainTextResponse("device not found", 404)
