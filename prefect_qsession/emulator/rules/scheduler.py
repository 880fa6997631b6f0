"""
The scheduler: who has the QPU, and what that does to sessions and jobs.

A device has a few execution lanes and one QPU. Jobs and sessions wait for a lane in one line with
other tenants' jobs. An active session has its device to itself; an active batch only goes first.
The rules are those of IBM's execution-modes, run-jobs-session, run-jobs-batch and
max-execution-time guides.
"""

from functools import partial

from prefect_qsession.emulator.rules.accounts import Account, UsageWatch
from prefect_qsession.emulator.rules.endings import Ending
from prefect_qsession.emulator.rules.lanes import Lanes
from prefect_qsession.emulator.rules.qpus import Qpu, TenantJob
from prefect_qsession.emulator.rules.reasons import SESSION_CLOSED, UNSAID, USAGE_LIMIT, Reason
from prefect_qsession.emulator.rules.records import EndedBy
from prefect_qsession.emulator.rules.simulation import Outcome
from prefect_qsession.emulator.rules.states import JobEvent, JobState, SessionEvent, SessionState
from prefect_qsession.emulator.rules.tenants import Arrivals
from prefect_qsession.emulator.rules.timers import Timers
from prefect_qsession.emulator.rules.workloads import Job, Session
from prefect_qsession.emulator.settings import EmulatorSettings

_CLOSING_REASONS: dict[EndedBy, str] = {
    "close": "session_closed_early",
    "cancel": "session_closed_early",
    "max_ttl": "session_closed_by_max_ttl",
    "unused": "session_closed_unused",
    "usage_limit": "session_closed_by_usage_limit",
}


class Scheduler:
    """
    Decides what runs, and carries it out in state changes.

    Does no I/O: jobs that started are left in `started_jobs` for whoever has them computed, and
    come back through `computed`. Every method is told the time.
    """

    def __init__(self, settings: EmulatorSettings, qpus: dict[str, Qpu], timers: Timers) -> None:
        self._settings = settings
        self._qpus = qpus
        self._timers = timers
        self._open_sessions: dict[str, Session] = {}
        self._lanes = Lanes(settings, timers, self._job_ends, self.fill)
        self._usage = UsageWatch(timers, self._reach_usage_limit)
        self.started_jobs: list[Job] = []

    def begin(self, now: float) -> None:
        """Let the other tenants of every device come and go."""
        for name, qpu in self._qpus.items():
            seed = f"{self._settings.seed}/{name}/tenants"
            arrive = partial(self._tenant_comes, qpu)
            Arrivals(qpu.tenants, self._timers, seed, arrive).begin(now)

    # -- what users ask for

    def open_session(self, session: Session) -> None:
        """Start the clock on which a session that is never used closes."""
        self._open_sessions[session.id] = session
        self._close_if_unused_at(session, session.created + self._settings.limits.unused_seconds)

    def submit(self, job: Job, now: float) -> None:
        """Queue a job; one of an active session goes straight on."""
        qpu, session = self._qpus[job.backend], job.session
        if session is not None:
            session.jobs.append(job)
        if (failure := job.injected_failure) is not None and failure.at_once:
            _drop(job, failure.event, now, failure.reason)
        elif session is None:
            qpu.join_line(job)
        else:
            session.waiting.append(job)
            if session.state is not SessionState.ACTIVE and session not in qpu.line:
                qpu.join_line(session)
        self.fill(qpu, now)

    def cancel_job(self, job: Job, now: float) -> None:
        """Cancel a job that is not final; one that runs is charged for the time it ran."""
        if job.state is JobState.RUNNING:
            held_since = now if job.qpu_started is None else job.qpu_started
            job.qpu_seconds = round(now - held_since, 6)
            job.charge(job.qpu_seconds, now)
            self._end_running(job, JobEvent.CANCEL, now)
            return
        qpu, session = self._qpus[job.backend], job.session
        qpu.leave_line(job)
        _drop(job, JobEvent.CANCEL, now)
        if session is not None:
            session.waiting.remove(job)
            self._after_losing_queued_jobs(session, now)

    def close_session(self, session: Session, now: float) -> None:
        """Accept no more jobs; the session closes after its last one."""
        session.accepting_jobs = False
        self._close_if_drained(session, now)

    def cancel_session(self, session: Session, now: float) -> None:
        """Accept no more jobs and drop the queued ones; a running job completes."""
        if session.state is SessionState.CLOSED:
            return
        session.accepting_jobs = False
        session.leaving = "cancel"
        self._drop_queued(session, JobEvent.CANCEL, now)
        self._after_losing_queued_jobs(session, now)

    def computed(self, job: Job, outcome: Outcome, now: float) -> None:
        """Take the result of a running job."""
        self._lanes.computed(job, outcome, now)

    # -- the lanes of a device

    def fill(self, qpu: Qpu, now: float) -> None:
        """Give free lanes to whoever is next."""
        if qpu.device.status == "online":
            while self._lanes.is_open(qpu) and self._admit_next(qpu, now):
                pass

    def _admit_next(self, qpu: Qpu, now: float) -> bool:
        """Let one more in; tell whether there was one that may."""
        if (window := qpu.window) is not None:
            if window.waiting:
                self._start(qpu, window.waiting.popleft(), now)
                return True
            return False
        batch = next((batch for batch in qpu.batches if batch.waiting), None)
        if batch is not None:
            self._start(qpu, batch.waiting.popleft(), now)
            return True
        return bool(qpu.line) and self._admit_from_line(qpu, now)

    def _admit_from_line(self, qpu: Qpu, now: float) -> bool:
        following = qpu.next_in_line(now)
        # A session has the device to itself from its first job on. Nobody overtakes it meanwhile.
        is_exclusive = not isinstance(following, Job) and following.is_exclusive
        if is_exclusive and qpu.lanes:
            return False
        qpu.take_turn(following)
        if isinstance(following, TenantJob):
            self._lanes.enter_tenant(qpu, following, now)
        elif isinstance(following, Session):
            self._activate(qpu, following, now)
            self._start(qpu, following.waiting.popleft(), now)
        else:
            self._start(qpu, following, now)
        return True

    def _tenant_comes(self, qpu: Qpu, seconds: float, now: float) -> None:
        qpu.line.append(TenantJob(seconds))
        self.fill(qpu, now)

    def _start(self, qpu: Qpu, job: Job, now: float) -> None:
        job.undergo(JobEvent.START, now)
        if (session := job.session) is not None:
            session.running.append(job)
            session.last_job_started = now
            if session.idle is not None:
                session.idle.cancel()
        self.started_jobs.append(job)
        self._lanes.enter(qpu, job, now)

    def _job_ends(self, job: Job, end: Ending, now: float) -> None:
        job.charge(end.qpu_seconds if end.is_charged else 0, now)
        job.reason = end.reason
        self._end_running(job, end.event, now)

    def _end_running(self, job: Job, event: JobEvent, now: float) -> None:
        job.undergo(event, now)
        qpu, session = self._qpus[job.backend], job.session
        self._lanes.leave(qpu, job, now)
        if session is not None:
            session.running.remove(job)
            session.last_job_completed = now
        self._usage.look(job.account, now)
        if session is not None and not session.running:
            if session.state is SessionState.CLOSED:
                session.stop_metering(now)
            elif not session.waiting:
                self._start_idling(session, now)
                if session.mode == "batch" and self._settings.disputed.batch_closes_after_last_job:
                    session.accepting_jobs = False
                self._close_if_drained(session, now)
        self.fill(qpu, now)

    # -- the life of a session

    def _activate(self, qpu: Qpu, session: Session, now: float) -> None:
        first_time = session.started is None
        session.undergo(SessionEvent.JOB_DEQUEUED, now, "session_activated")
        if session.mode == "dedicated":
            qpu.window = session
        else:
            qpu.batches.append(session)
        if first_time:
            # The max TTL starts with the first job and never pauses.
            if session.deadline is not None:
                session.deadline.cancel()
            session.deadline = self._timers.schedule(
                now + session.max_ttl_seconds, lambda at: self._reach_max_ttl(session, at)
            )
        self._usage.look(session.account, now)

    def _start_idling(self, session: Session, now: float) -> None:
        session.idle = self._timers.schedule(
            now + session.interactive_ttl_seconds, lambda at: self._deactivate(session, at)
        )

    def _deactivate(self, session: Session, now: float) -> None:
        session.undergo(
            SessionEvent.INTERACTIVE_TTL_EXPIRED, now, "session_inactivated_by_interactive_ttl"
        )
        qpu = self._qpus[session.backend]
        qpu.release(session)
        if session.waiting:
            # They came in time, but the lanes were full, or the device is in maintenance.
            qpu.join_line(session)
        self.fill(qpu, now)

    def _reach_max_ttl(self, session: Session, now: float) -> None:
        to_fail = self._settings.disputed.queued_jobs_at_max_ttl == "fail"
        event = JobEvent.FAIL if to_fail else JobEvent.CANCEL
        self._drop_queued(session, event, now, SESSION_CLOSED)
        self._end_session(session, SessionEvent.MAX_TTL_REACHED, "max_ttl", now)

    def _drop_queued(
        self, session: Session, event: JobEvent, now: float, reason: Reason = UNSAID
    ) -> None:
        while session.waiting:
            _drop(session.waiting.popleft(), event, now, reason)

    def _after_losing_queued_jobs(self, session: Session, now: float) -> None:
        if session.waiting:
            return
        qpu = self._qpus[session.backend]
        qpu.leave_line(session)
        self._close_if_drained(session, now)
        if session.state is SessionState.OPEN:
            unused_at = session.created + self._settings.limits.unused_seconds
            self._close_if_unused_at(session, max(now, unused_at))

    def _close_if_drained(self, session: Session, now: float) -> None:
        done = not session.accepting_jobs and not session.has_work
        if done and session.state is not SessionState.CLOSED:
            self._end_session(session, SessionEvent.DRAINED, session.leaving, now)

    def _close_if_unused_at(self, session: Session, at: float) -> None:
        if session.deadline is not None:
            session.deadline.cancel()

        def close(now: float) -> None:
            if session.state is SessionState.OPEN and not session.has_work:
                self._end_session(session, SessionEvent.NEVER_USED, "unused", now)

        session.deadline = self._timers.schedule(at, close)

    def _end_session(
        self, session: Session, event: SessionEvent, ended_by: EndedBy, now: float
    ) -> None:
        session.undergo(event, now, _CLOSING_REASONS[ended_by])
        del self._open_sessions[session.id]
        session.ended_by = ended_by
        for timer in (session.deadline, session.idle):
            if timer is not None:
                timer.cancel()
        qpu = self._qpus[session.backend]
        qpu.leave_line(session)
        qpu.release(session)
        self.fill(qpu, now)

    # -- the usage limit of an instance

    def _reach_usage_limit(self, account: Account, now: float) -> None:
        # Everything that waits goes first: what ends would make room for it.
        sessions = [s for s in self._open_sessions.values() if s.account is account]
        for session in sessions:
            self._qpus[session.backend].leave_line(session)
            self._drop_queued(session, JobEvent.CANCEL, now, USAGE_LIMIT)
        for qpu in self._qpus.values():
            for waiting in [x for x in qpu.line if isinstance(x, Job) and x.account is account]:
                qpu.leave_line(waiting)
                _drop(waiting, JobEvent.CANCEL, now, USAGE_LIMIT)
        for session in sessions:
            self._end_session(session, SessionEvent.USAGE_LIMIT_REACHED, "usage_limit", now)
        if self._settings.disputed.running_jobs_at_usage_limit == "cancel":
            for qpu in self._qpus.values():
                for job in [x for x in qpu.lanes if isinstance(x, Job) and x.account is account]:
                    # The end of one is reason to look again, and the others may have gone by then.
                    if not job.is_final:
                        job.reason = USAGE_LIMIT
                        self.cancel_job(job, now)


def _drop(job: Job, event: JobEvent, now: float, reason: Reason = UNSAID) -> None:
    """End a job that never ran, at no charge."""
    job.reason = reason
    job.charge(0, now)
    job.undergo(event, now)
