"""
What there is to see at a glance: for the page and for the terminal.

The record has everything; an overview has the latest, so that looking at it every second costs
about the same after a hundred thousand jobs as after ten.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from prefect_qsession.emulator.faults.fault import StandingFault
from prefect_qsession.emulator.faults.lines import fault_line
from prefect_qsession.emulator.rules.qpus import Qpu
from prefect_qsession.emulator.rules.records import EndedBy, JobRecord, Mode
from prefect_qsession.emulator.rules.service import Service
from prefect_qsession.emulator.rules.states import SessionState
from prefect_qsession.emulator.rules.workloads import Job, Session

LATEST_SESSIONS = 50
LATEST_JOBS = 100


@dataclass(frozen=True)
class DeviceView:
    """
    A QPU as it stands now.

    *job_id* is the job of ours that has it; *is_taken* is true as well while it runs a job of
    another tenant. *other_jobs* are ours that run in their lanes meanwhile, without it.
    *session_id* is the session that has it to itself.
    """

    name: str
    num_qubits: int
    status: str
    queue_length: int
    is_taken: bool
    job_id: str | None
    other_jobs: int
    session_id: str | None


@dataclass(frozen=True)
class SessionView:
    """A session or batch as it stands now; *age_seconds* stops when it is closed."""

    id: str
    backend: str
    mode: Mode
    state: str
    accepting_jobs: bool
    ended_by: EndedBy | None
    age_seconds: float
    usage_seconds: float
    jobs: int
    waiting_jobs: int


@dataclass(frozen=True)
class FaultView:
    """A fault that was added, as its line, and how many requests it has struck."""

    line: str
    struck: int


@dataclass(frozen=True)
class Overview:
    """
    What there is to see now; sessions and jobs newest first.

    *sessions* are those that are not closed, and the latest of the others; *jobs* are the latest.
    The counts are of all there are. *time_scale* is `None` if the clock is moved by hand.
    """

    now: float
    time_scale: float | None
    devices: tuple[DeviceView, ...]
    session_count: int
    open_session_count: int
    sessions: tuple[SessionView, ...]
    job_count: int
    job_counts: dict[str, int]
    jobs: tuple[JobRecord, ...]
    faults: tuple[FaultView, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def overview(service: Service, faults: Iterable[StandingFault], now: float) -> Overview:
    """Look at the service. It must be up to date, and nobody else may change it meanwhile."""
    settings, sessions = service.settings, service.sessions.values()
    still_open = [session for session in sessions if session.state is not SessionState.CLOSED]
    closed = (session for session in reversed(sessions) if session.state is SessionState.CLOSED)
    shown = [
        *islice(reversed(still_open), LATEST_SESSIONS),
        *islice(closed, max(0, LATEST_SESSIONS - len(still_open))),
    ]
    jobs = service.jobs.values()
    return Overview(
        now=now,
        time_scale=None if settings.hand_clock else settings.time_scale,
        devices=tuple(_device_view(qpu) for qpu in service.qpus.values()),
        session_count=len(sessions),
        open_session_count=len(still_open),
        sessions=tuple(_session_view(session, now) for session in shown),
        job_count=len(jobs),
        job_counts={str(state): n for state, n in Counter(job.state for job in jobs).items()},
        jobs=tuple(job.record() for job in islice(reversed(jobs), LATEST_JOBS)),
        faults=tuple(FaultView(fault_line(each.fault), each.struck) for each in faults),
    )


def _device_view(qpu: Qpu) -> DeviceView:
    return DeviceView(
        name=qpu.device.name,
        num_qubits=qpu.device.num_qubits,
        status=qpu.device.status,
        queue_length=qpu.queue_length(),
        is_taken=qpu.holder is not None,
        job_id=qpu.holder.id if isinstance(qpu.holder, Job) else None,
        other_jobs=sum(work is not qpu.holder for work in qpu.lanes),
        session_id=None if qpu.window is None else qpu.window.id,
    )


def _session_view(session: Session, now: float) -> SessionView:
    end = now if session.closed is None else session.closed
    return SessionView(
        id=session.id,
        backend=session.backend,
        mode=session.mode,
        state=str(session.state),
        accepting_jobs=session.accepting_jobs,
        ended_by=session.ended_by,
        age_seconds=round(end - session.created, 6),
        usage_seconds=session.usage_seconds(now),
        jobs=len(session.jobs),
        waiting_jobs=len(session.waiting),
    )
