"""Jobs."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import PlainTextResponse, Response

from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.rules.listings import JobFilter
from prefect_qsession.emulator.rules.workloads import Client, checked_tags
from prefect_qsession.emulator.wire import documents
from prefect_qsession.emulator.wire.requests import (
    INJECTED_FAILURE,
    AskingInstance,
    Running,
    as_json,
    no_content,
    parsed,
    read_body,
    takes,
)

router = APIRouter(tags=["jobs"])

MAX_PAGE = 200


class JobCreation(BaseModel):
    """What a client asks for when it submits a job."""

    model_config = ConfigDict(strict=True)

    program_id: str
    backend: str
    params: dict[str, Any]
    session_id: Annotated[str, Field(max_length=36)] | None = None
    tags: list[str] = Field(default_factory=list)
    cost: Annotated[int, Field(ge=1)] | None = None
    private: bool = False
    calibration_id: str | None = None
    runtime: str | None = None
    log_level: str | None = None
    start_session: bool = False


class TagsUpdate(BaseModel):
    """The tags that replace a job's."""

    model_config = ConfigDict(strict=True)

    tags: list[str]


class JobQuery(BaseModel):
    """Which jobs to list, and which part of the list."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 10
    offset: Annotated[int, Field(ge=0)] = 0
    backend: str | None = None
    pending: bool | None = None
    program: str | None = None
    tags: list[str] = Field(default_factory=list)
    session_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    sort: Literal["ASC", "DESC"] = "DESC"
    include_mocks: bool = False
    exclude_params: bool = False

    def as_filter(self) -> JobFilter:
        """Return the part that chooses jobs."""
        return JobFilter(
            backend=self.backend,
            pending=self.pending,
            program=self.program,
            tags=tuple(self.tags),
            session_id=self.session_id,
            created_after=None if self.created_after is None else self.created_after.timestamp(),
            created_before=None if self.created_before is None else self.created_before.timestamp(),
            include_mocks=self.include_mocks,
        )


@router.post("/jobs", openapi_extra=takes(JobCreation))
async def create_job(request: Request, instance: AskingInstance, running: Running) -> Response:
    """Submit a job."""
    body = await read_body(request)
    wanted = parsed(JobCreation, body)
    if wanted.start_session:
        why = "start_session is no longer supported; create the session first"
        raise errors.invalid_body(why)
    if wanted.calibration_id is not None:
        why = f"calibration_id {wanted.calibration_id} is unknown"
        raise errors.invalid_body(why)
    with running.up_to_date() as (service, now):
        job = service.create_job(
            instance,
            backend=wanted.backend,
            program_id=wanted.program_id,
            body=body,
            session_id=wanted.session_id,
            tags=wanted.tags,
            max_seconds=wanted.cost,
            private=wanted.private,
            injected_failure=request.scope.get(INJECTED_FAILURE),
            client=Client.of_header(request.headers.get("x-qx-client-application", "")),
            now=now,
        )
    answer = {"id": job.id, "backend": job.backend}
    if job.session is not None:
        answer["session_id"] = job.session.id
    return as_json(answer)


@router.get("/jobs")
async def list_jobs(
    query: Annotated[JobQuery, Query()], instance: AskingInstance, running: Running
) -> Response:
    """List jobs, the newest first. `count` is the number of all that match."""
    with running.up_to_date() as (service, _):
        oldest_first = query.sort == "ASC"
        found = service.find_jobs(instance.crn, query.as_filter(), oldest_first=oldest_first)
        page = found[query.offset : query.offset + query.limit]
        with_params = not query.exclude_params
        jobs = [documents.job_document(job, with_params=with_params) for job in page]
    return as_json(
        {"jobs": jobs, "count": len(found), "limit": query.limit, "offset": query.offset}
    )


@router.get("/jobs/{job_id}")
async def describe_job(
    job_id: str, instance: AskingInstance, running: Running, *, exclude_params: bool = False
) -> Response:
    """Describe a job."""
    with running.up_to_date() as (service, _):
        job = service.job(instance.crn, job_id)
        document = documents.job_document(job, with_params=not exclude_params)
    return as_json(document)


@router.get("/jobs/{job_id}/results", responses={204: {"description": "There is none"}})
async def job_results(job_id: str, instance: AskingInstance, running: Running) -> Response:
    """Return a job's results; nothing while, or if, there are none."""
    with running.up_to_date() as (service, _):
        result = service.read_result(service.job(instance.crn, job_id))
    return no_content() if result is None else Response(result, media_type="application/json")


@router.post("/jobs/{job_id}/cancel", status_code=204)
async def cancel_job(job_id: str, instance: AskingInstance, running: Running) -> Response:
    """Cancel a job that is queued or running."""
    with running.up_to_date() as (service, now):
        service.cancel_job(service.job(instance.crn, job_id), now)
    return no_content()


@router.delete("/jobs/{job_id}", status_code=204)
async def delete_job(job_id: str, instance: AskingInstance, running: Running) -> Response:
    """Delete a job whose state is final."""
    with running.up_to_date() as (service, _):
        service.delete_job(service.job(instance.crn, job_id))
    return no_content()


@router.get("/jobs/{job_id}/logs")
async def job_logs(job_id: str, instance: AskingInstance, running: Running) -> Response:
    """Return a job's log: why it failed, if it did."""
    with running.up_to_date() as (service, _):
        job = service.job(instance.crn, job_id)
        return PlainTextResponse(job.reason.text or "")


@router.get("/jobs/{job_id}/metrics")
async def job_metrics(job_id: str, instance: AskingInstance, running: Running) -> Response:
    """Return a job's times and charge."""
    with running.up_to_date() as (service, _):
        document = documents.metrics(
            service.job(instance.crn, job_id),
            with_quantum_seconds=service.settings.disputed.quantum_seconds_in_metrics,
        )
    return as_json(document)


@router.put("/jobs/{job_id}/tags", status_code=204, openapi_extra=takes(TagsUpdate))
async def replace_tags(
    job_id: str, request: Request, instance: AskingInstance, running: Running
) -> Response:
    """Replace a job's tags."""
    tags = checked_tags(parsed(TagsUpdate, await read_body(request)).tags)
    with running.up_to_date() as (service, _):
        service.job(instance.crn, job_id).tags = tags
    return no_content()
