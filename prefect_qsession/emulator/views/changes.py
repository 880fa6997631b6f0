"""Which sessions and jobs changed their state since somebody last looked."""

from dataclasses import dataclass
from itertools import takewhile

from prefect_qsession.emulator.rules.records import EndedBy
from prefect_qsession.emulator.rules.service import Service
from prefect_qsession.emulator.rules.states import SessionState
from prefect_qsession.emulator.rules.workloads import Job, Session
from prefect_qsession.emulator.running.running_service import RunningService


@dataclass(frozen=True)
class Change:
    """
    A session, batch or job that entered a state, at a time of the service's clock.

    *session_id* is that of a job's session; *ended_by* says what closed a session, and
    *reason_code* why a job failed.
    """

    at: float
    kind: str
    id: str
    state: str
    backend: str
    session_id: str | None = None
    ended_by: EndedBy | None = None
    reason_code: int | None = None


class Changes:
    """
    Tells every change once, in order, however fast they come.

    A look costs what is new and what is not over, not what has been. For one thread.
    """

    def __init__(self, running: RunningService) -> None:
        self._running = running
        self._next_ordinal = 0
        self._told: dict[str, int] = {}
        self._unfinished: dict[str, Job] = {}

    def look(self) -> list[Change]:
        """Return what has changed since the last look; at first, all that has been."""
        with self._running.up_to_date() as (service, _):
            sessions = [
                change for session in service.sessions.values() for change in self._of(session)
            ]
            jobs = [change for job in self._unfinished_jobs(service) for change in self._of(job)]
        # At one instant a session opens before its jobs come, and closes after they are over.
        return sorted(
            sessions + jobs,
            key=lambda change: (change.at, change.state != SessionState.OPEN, change.kind != "job"),
        )

    def _unfinished_jobs(self, service: Service) -> list[Job]:
        """Return the jobs that came since the last look, and those that were not over by then."""
        newest_first = reversed(service.jobs.values())
        came = list(takewhile(lambda job: job.ordinal >= self._next_ordinal, newest_first))[::-1]
        jobs = [*self._unfinished.values(), *came]
        self._unfinished = {job.id: job for job in jobs if not job.is_final}
        if came:
            self._next_ordinal = came[-1].ordinal + 1
        return jobs

    def _of(self, workload: Session | Job) -> list[Change]:
        told = self._told.get(workload.id, 0)
        if told == len(workload.transitions):
            return []
        if isinstance(workload, Job) and workload.is_final:
            # It will not be looked at again.
            self._told.pop(workload.id, None)
        else:
            self._told[workload.id] = len(workload.transitions)
        return [
            _change(workload, transition.state, transition.at)
            for transition in workload.transitions[told:]
        ]


def _change(workload: Session | Job, state: str, at: float) -> Change:
    if isinstance(workload, Session):
        kind = "batch" if workload.mode == "batch" else "session"
        ended_by = workload.ended_by if state == SessionState.CLOSED else None
        return Change(at, kind, workload.id, state, workload.backend, ended_by=ended_by)
    session_id = None if workload.session is None else workload.session.id
    code = workload.reason.code if state == workload.state else None
    return Change(
        at, "job", workload.id, state, workload.backend, session_id=session_id, reason_code=code
    )
