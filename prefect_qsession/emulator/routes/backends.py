"""Backends, and what an instance has used."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from prefect_qsession.emulator import documents, errors
from prefect_qsession.emulator.clock import isoformat
from prefect_qsession.emulator.routes.requests import AskingInstance, TheConductor, as_json
from prefect_qsession.emulator.scheduler import Qpu
from prefect_qsession.emulator.service import Service

router = APIRouter(tags=["backends"])

USAGE_PERIOD_SECONDS = 28 * 86400


@router.get("/backends")
async def list_backends(_instance: AskingInstance, conductor: TheConductor) -> Response:
    """List the devices."""
    with conductor.attending() as (service, _):
        devices = [documents.backend_summary(qpu) for qpu in service.qpus.values()]
    return as_json({"devices": devices})


@router.get("/backends/{name}/configuration")
async def backend_configuration(
    name: str, _instance: AskingInstance, conductor: TheConductor, calibration_id: str | None = None
) -> Response:
    """Describe a device's instructions and limits."""
    with conductor.attending() as (service, _):
        if (qpu := _find(service, name, calibration_id)) is None:
            return _device_not_found()
    return Response(qpu.device.configuration, media_type="application/json")


@router.get("/backends/{name}/properties")
async def backend_properties(
    name: str, _instance: AskingInstance, conductor: TheConductor, calibration_id: str | None = None
) -> Response:
    """Describe a device's calibration."""
    with conductor.attending() as (service, _):
        if (qpu := _find(service, name, calibration_id)) is None:
            return _device_not_found()
    return Response(qpu.device.properties, media_type="application/json")


@router.get("/backends/{name}/status")
async def backend_status(name: str, _instance: AskingInstance, conductor: TheConductor) -> Response:
    """Tell whether a device works and how many jobs wait for it."""
    with conductor.attending() as (service, _):
        qpu = _find(service, name, None)
        status = None if qpu is None else documents.backend_status(qpu)
    return _device_not_found() if status is None else as_json(status)


@router.get("/instances/usage")
async def instance_usage(instance: AskingInstance, conductor: TheConductor) -> Response:
    """Tell what the instance has used of what it may use."""
    with conductor.attending() as (service, now):
        consumed = service.usage_seconds(instance.crn, now)
    limit = instance.usage_limit_seconds
    usage = {
        "instance_id": instance.crn,
        "plan_id": f"emulated-plan-{instance.plan}",
        "usage_consumed_seconds": consumed,
        "usage_limit_reached": limit is not None and consumed >= limit,
        "usage_period": {
            "start_time": isoformat(now - USAGE_PERIOD_SECONDS),
            "end_time": isoformat(now),
        },
    }
    if limit is not None:
        usage |= {"usage_limit_seconds": limit, "usage_allocation_seconds": limit}
    return as_json(usage)


def _find(service: Service, name: str, calibration_id: str | None) -> Qpu | None:
    """Return a device's QPU; refuse a calibration, as there are none but the present one."""
    if calibration_id is not None:
        why = f"calibration_id {calibration_id} is unknown"
        raise errors.invalid_query(why)
    return service.qpus.get(name)


def _device_not_found() -> Response:
    # The service answers with bare text here.
    return PlainTextResponse("device not found", 404)
