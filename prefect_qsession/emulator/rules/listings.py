"""Lists of what an instance has: jobs by filters, and workloads page by page."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.rules.states import JobState, SessionState
from prefect_qsession.emulator.rules.workloads import Job, Session

WorkloadMode = Literal["job", "session", "batch"]
WorkloadStatus = Literal["pending", "in_progress", "completed", "failed", "canceled"]

_STATUSES: dict[JobState | SessionState, WorkloadStatus] = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "canceled",
    SessionState.OPEN: "pending",
    SessionState.ACTIVE: "in_progress",
    SessionState.INACTIVE: "pending",
    SessionState.CLOSED: "completed",
}

_Key = tuple[float, str]


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list; `None` and the empty tuple mean any. Dry runs only if asked for."""

    backend: str | None = None
    pending: bool | None = None
    program: str | None = None
    tags: tuple[str, ...] = ()
    session_id: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    include_mocks: bool = False

    def takes(self, job: Job) -> bool:
        """Tell whether a job is among them."""
        return (
            self.backend in (None, job.backend)
            and self.pending in (None, not job.is_final)
            and self.program in (None, job.program_id)
            and set(self.tags) <= set(job.tags)
            and self.session_id in (None, job.session and job.session.id)
            and _is_between(self.created_after, job.created, self.created_before)
            and (self.include_mocks or not job.is_dry_run)
        )


def _is_between(after: float | None, at: float, before: float | None) -> bool:
    return (after is None or at >= after) and (before is None or at <= before)


@dataclass(frozen=True)
class WorkloadFilter:
    """Which workloads to list; `None` and the empty tuple mean any."""

    backend: str | None = None
    search: str | None = None
    status: tuple[WorkloadStatus, ...] = ()
    mode: WorkloadMode | None = None
    tags: tuple[str, ...] = ()
    created_after: float | None = None
    created_before: float | None = None
    include_mocks: bool = False

    def takes(self, workload: Job | Session) -> bool:
        """Tell whether a workload is among them."""
        tags = workload.tags if isinstance(workload, Job) else ()
        return (
            self.backend in (None, workload.backend)
            and (not self.status or workload_status(workload) in self.status)
            and self.mode in (None, workload_mode(workload))
            and set(self.tags) <= set(tags)
            and (self.search is None or any(self.search in text for text in (workload.id, *tags)))
            and _is_between(self.created_after, workload.created, self.created_before)
            and (self.include_mocks or not (isinstance(workload, Job) and workload.is_dry_run))
        )


def workload_mode(workload: Job | Session) -> WorkloadMode:
    """Return what kind of workload it is."""
    if isinstance(workload, Job):
        return "job"
    return "session" if workload.mode == "dedicated" else "batch"


def workload_status(workload: Job | Session) -> WorkloadStatus:
    """Return its state, in the words of the list of workloads."""
    return _STATUSES[workload.state]


def workloads_of(sessions: Iterable[Session], jobs: Iterable[Job], crn: str) -> list[Job | Session]:
    """Return an instance's workloads, oldest first: sessions, batches, and jobs that have none."""
    found: list[Job | Session] = [session for session in sessions if session.instance == crn]
    found += [job for job in jobs if job.instance == crn and job.session is None]
    return sorted(found, key=_key)


@dataclass(frozen=True)
class WorkloadPage:
    """A part of a list, and the cursors to its neighbours, `None` where it ends."""

    workloads: list[Job | Session]
    total: int
    previous: str | None
    next: str | None


def page_of(
    workloads: list[Job | Session],
    *,
    limit: int,
    newest_first: bool,
    previous: str | None,
    following: str | None,
) -> WorkloadPage:
    """
    Cut a page out of a list that is oldest first, or refuse a cursor that is none.

    A cursor is the place of a workload in the list, not its number: what comes or goes meanwhile
    is neither shown twice nor keeps anything else from being shown.
    """
    keys = [_key(workload) for workload in workloads]
    if newest_first:
        workloads, keys = workloads[::-1], keys[::-1]
    start, end = 0, limit
    if following is not None:
        last = _read_cursor(following)
        start = sum(key >= last if newest_first else key <= last for key in keys)
        end = start + limit
    elif previous is not None:
        first = _read_cursor(previous)
        end = sum(key > first if newest_first else key < first for key in keys)
        start = max(0, end - limit)
    page = keys[start:end]
    return WorkloadPage(
        workloads=workloads[start:end],
        total=len(workloads),
        previous=_cursor(page[0]) if page and start > 0 else None,
        next=_cursor(page[-1]) if page and end < len(keys) else None,
    )


def _key(workload: Job | Session) -> _Key:
    return workload.created, workload.id


def _cursor(key: _Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read_cursor(cursor: str) -> _Key:
    try:
        at, workload_id = json.loads(base64.urlsafe_b64decode(cursor))
        return float(at), str(workload_id)
    except (ValueError, TypeError, OverflowError):
        why = "the cursor is none of this list's"
        raise errors.invalid_query(why) from None
