"""Workloads: sessions, batches and jobs in one list."""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from prefect_qsession.emulator.rules.listings import (
    WorkloadFilter,
    WorkloadMode,
    WorkloadStatus,
    page_of,
    workloads_of,
)
from prefect_qsession.emulator.wire import documents
from prefect_qsession.emulator.wire.requests import AskingInstance, Running, as_json

router = APIRouter(tags=["workloads"])

MAX_PAGE = 50


class WorkloadQuery(BaseModel):
    """Which workloads to list, and which part of the list."""

    user: str | None = None
    sort: Literal["createdAt", "-createdAt"] = "createdAt"
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 10
    previous: str | None = None
    next: str | None = None
    backend: str | None = None
    search: str | None = None
    status: list[WorkloadStatus] = Field(default_factory=list)
    mode: WorkloadMode | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    tags: list[str] = Field(default_factory=list)
    include_mocks: bool = False

    def as_filter(self) -> WorkloadFilter:
        """Return the part that chooses workloads."""
        return WorkloadFilter(
            backend=self.backend,
            search=self.search,
            status=tuple(self.status),
            mode=self.mode,
            tags=tuple(self.tags),
            created_after=None if self.created_after is None else self.created_after.timestamp(),
            created_before=None if self.created_before is None else self.created_before.timestamp(),
            include_mocks=self.include_mocks,
        )


@router.get("/workloads")
async def list_workloads(
    request: Request,
    query: Annotated[WorkloadQuery, Query()],
    instance: AskingInstance,
    running: Running,
) -> Response:
    """List workloads, the oldest first. Jobs of a session or batch are part of it."""
    wanted = query.as_filter()
    is_users = query.user in (None, documents.USER_ID)
    with running.up_to_date() as (service, now):
        of_instance = workloads_of(service.sessions.values(), service.jobs.values(), instance.crn)
        page = page_of(
            [workload for workload in of_instance if is_users and wanted.takes(workload)],
            limit=query.limit,
            newest_first=query.sort == "-createdAt",
            previous=query.previous,
            following=query.next,
        )
        answer = {
            "workloads": [documents.workload_document(each, now) for each in page.workloads],
            "total_count": page.total,
            "limit": query.limit,
        }
    for name, cursor in (("previous", page.previous), ("next", page.next)):
        if cursor is not None:
            answer[name] = {"href": _link(request, name, cursor), "cursor": cursor}
    return as_json(answer)


def _link(request: Request, name: str, cursor: str) -> str:
    """Return the address of this very list, but for where the page begins."""
    kept = [item for item in request.query_params.multi_items() if item[0] not in _CURSORS]
    return f"{request.url.path}?{urlencode([*kept, (name, cursor)])}"


_CURSORS = ("previous", "next")
