"""
The scheduler: who has the QPU, and what that does to sessions and jobs.

One QPU per device runs one job at a time. Jobs and sessions wait in one line with other tenants'
jobs. An active session has its device to itself; an active batch only goes first. The rules are
those of IBM's execution-modes, run-jobs-session, run-jobs-batch and max-execution-time guides.
"""

from collections import deque
from dataclasses import dataclass, field

from prefect_qsession.emulator import timing
from prefect_qsession.emulator.agenda import Agenda
from prefect_qsession.emulator.devices import Device
from prefect_qsession.emulator.records import EndedBy
from prefect_qsession.emulator.settings import EmulatorSettings, QueueSettings, WorkloadLimits
from prefect_qsession.emulator.simulation import Outcome
from prefect_qsession.emulator.states import JobEvent, JobState, SessionEvent, SessionState
from prefect_qsession.emulator.workloads import Job, Session

# The text of the live service, broken template and all; clients tell this end by its code.
_RAN_TOO_LONG = "Job %!v(MISSING) ran longer than %!v(MISSING)"


@dataclass(eq=False, slots=True)
class TenantJob:
    """A job of somebody else."""

    seconds: float


@dataclass(eq=False, slots=True)
class Qpu:
    """A device's processor, and the line before it. A session stands in line once for its jobs."""

    device: Device
    tenants: QueueSettings
    line: deque[TenantJob | Job | Session] = field(default_factory=deque)
    running: TenantJob | Job | None = None
    window: Session | None = None
    batches: list[Session] = field(default_factory=list)

    def queue_length(self) -> int:
        """Return how many jobs wait for the QPU, whoever's they are."""
        in_line = sum(len(x.waiting) if isinstance(x, Session) else 1 for x in self.line)
        admitted = self.batches if self.window is None else [*self.batches, self.window]
        return in_line + sum(len(workload.waiting) for workload in admitted)

    def join_line(self, workload: Job | Session) -> None:
        """Queue behind the other tenants."""
        ahead = (TenantJob(self.tenants.seconds_each) for _ in range(self.tenants.jobs_ahead))
        self.line.extend((*ahead, workload))

    def leave_line(self, workload: Job | Session) -> None:
        """Give up the place in line, if there is one."""
        if workload in self.line:
            self.line.remove(workload)

    def release(self, session: Session) -> None:
        """End a session's or batch's hold on the QPU."""
        if self.window is session:
            self.window = None
        if session in self.batches:
            self.batches.remove(session)


class Scheduler:
    """
    Decides what runs, and carries it out in state changes.

    Does no I/O: jobs that started are left in `started_jobs` for whoever has them computed, and
    come back through `computed`. Every method is told the time.
    """

    def __init__(self, settings: EmulatorSettings, qpus: dict[str, Qpu], agenda: Agenda) -> None:
        self._settings = settings
        self._qpus = qpus
        self._agenda = agenda
        self.started_jobs: list[Job] = []

    # -- what users ask for

    def open_session(self, session: Session) -> None:
        """Start the clock on which a session that is never used closes."""
        self._close_if_unused_at(session, session.created + self._limits.unused_seconds)

    def submit(self, job: Job, now: float) -> None:
        """Queue a job; one of an active session goes straight on."""
        qpu, session = self._qpus[job.backend], job.session
        if session is None:
            qpu.join_line(job)
        else:
            session.jobs.append(job)
            session.waiting.append(job)
            if session.state is not SessionState.ACTIVE and session not in qpu.line:
                qpu.join_line(session)
        self._fill(qpu, now)

    def cancel_job(self, job: Job, now: float) -> None:
        """Cancel a job that is not final; one that runs is charged for the time it ran."""
        if job.state is JobState.RUNNING:
            job.charge(now - (job.started or now))
            self._end_running(job, JobEvent.CANCEL, now)
            return
        qpu, session = self._qpus[job.backend], job.session
        qpu.leave_line(job)
        job.charge(0)
        job.undergo(JobEvent.CANCEL, now)
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
        while session.waiting:
            job = session.waiting.popleft()
            job.charge(0)
            job.undergo(JobEvent.CANCEL, now)
        self._after_losing_queued_jobs(session, now)

    def computed(self, job: Job, outcome: Outcome, now: float) -> None:
        """
        Take the result of a running job, and end the job when its QPU time is over.

        A result for a job that runs no more is dropped.
        """
        if job.state is not JobState.RUNNING or job.started is None:
            return
        seed = timing.derived_seed(self._settings.seed, job.ordinal, "timing")
        job.outcome = outcome
        job.qpu_seconds = round(timing.qpu_seconds(self._settings.timing, outcome, seed), 6)
        too_long = job.qpu_seconds > job.max_seconds
        if too_long:
            job.qpu_seconds = float(job.max_seconds)

        def end(at: float) -> None:
            job.charge(job.qpu_seconds or 0.0)
            if too_long:
                job.explain(_RAN_TOO_LONG, 1305, "Raise max_execution_time or submit less work.")
                self._end_running(job, JobEvent.CANCEL, at)
            elif outcome.result is None:
                job.explain(outcome.reason, outcome.reason_code, outcome.reason_solution)
                self._end_running(job, JobEvent.FAIL, at)
            else:
                self._end_running(job, JobEvent.COMPLETE, at)

        job.ending = self._agenda.schedule(max(job.started + job.qpu_seconds, now), end)

    # -- the QPU

    def _fill(self, qpu: Qpu, now: float) -> None:
        """Give a free QPU to whoever is next."""
        if qpu.running is not None or qpu.device.status != "online":
            return
        if qpu.window is not None:
            if qpu.window.waiting:
                self._start(qpu, qpu.window.waiting.popleft(), now)
            return
        batch = next((batch for batch in qpu.batches if batch.waiting), None)
        if batch is not None:
            self._start(qpu, batch.waiting.popleft(), now)
        elif qpu.line:
            following = qpu.line.popleft()
            if isinstance(following, TenantJob):
                qpu.running = following
                self._agenda.schedule(
                    now + following.seconds, lambda at: self._tenant_done(qpu, at)
                )
            elif isinstance(following, Session):
                self._activate(qpu, following, now)
                self._start(qpu, following.waiting.popleft(), now)
            else:
                self._start(qpu, following, now)

    def _tenant_done(self, qpu: Qpu, now: float) -> None:
        qpu.running = None
        self._fill(qpu, now)

    def _start(self, qpu: Qpu, job: Job, now: float) -> None:
        job.undergo(JobEvent.START, now)
        qpu.running = job
        if (session := job.session) is not None:
            session.running = job
            session.last_job_started = now
            if session.idle is not None:
                session.idle.call_off()
        self.started_jobs.append(job)

    def _end_running(self, job: Job, event: JobEvent, now: float) -> None:
        job.undergo(event, now)
        if job.ending is not None:
            job.ending.call_off()
        qpu, session = self._qpus[job.backend], job.session
        qpu.running = None
        if session is not None:
            session.running = None
            session.last_job_completed = now
            if session.state is SessionState.CLOSED:
                session.stop_metering(now)
            elif not session.waiting:
                self._start_idling(session, now)
                self._close_if_drained(session, now)
        self._fill(qpu, now)

    # -- the life of a session

    @property
    def _limits(self) -> WorkloadLimits:
        return self._settings.limits

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
                session.deadline.call_off()
            session.deadline = self._agenda.schedule(
                now + session.max_ttl_seconds, lambda at: self._reach_max_ttl(session, at)
            )

    def _start_idling(self, session: Session, now: float) -> None:
        session.idle = self._agenda.schedule(
            now + session.interactive_ttl_seconds, lambda at: self._deactivate(session, at)
        )

    def _deactivate(self, session: Session, now: float) -> None:
        session.undergo(
            SessionEvent.INTERACTIVE_TTL_EXPIRED, now, "session_inactivated_by_interactive_ttl"
        )
        qpu = self._qpus[session.backend]
        qpu.release(session)
        self._fill(qpu, now)

    def _reach_max_ttl(self, session: Session, now: float) -> None:
        # The guides disagree on the queued jobs: "put into a failed state" on most pages.
        while session.waiting:
            job = session.waiting.popleft()
            job.explain("Job is part of a session that's been closed.", 4001)
            job.charge(0)
            job.undergo(JobEvent.FAIL, now)
        self._end_session(session, SessionEvent.MAX_TTL_REACHED, "max_ttl", now)

    def _after_losing_queued_jobs(self, session: Session, now: float) -> None:
        if session.waiting:
            return
        qpu = self._qpus[session.backend]
        qpu.leave_line(session)
        self._close_if_drained(session, now)
        if session.state is SessionState.OPEN:
            unused_at = session.created + self._limits.unused_seconds
            self._close_if_unused_at(session, max(now, unused_at))

    def _close_if_drained(self, session: Session, now: float) -> None:
        done = not session.accepting_jobs and not session.has_work
        if done and session.state is not SessionState.CLOSED:
            self._end_session(session, SessionEvent.DRAINED, session.leaving, now)

    def _close_if_unused_at(self, session: Session, at: float) -> None:
        if session.deadline is not None:
            session.deadline.call_off()

        def close(now: float) -> None:
            if session.state is SessionState.OPEN and not session.has_work:
                self._end_session(session, SessionEvent.NEVER_USED, "unused", now)

        session.deadline = self._agenda.schedule(at, close)

    def _end_session(
        self, session: Session, event: SessionEvent, ended_by: EndedBy, now: float
    ) -> None:
        reasons = {
            "close": "session_closed_early",
            "cancel": "session_closed_early",
            "max_ttl": "session_closed_by_max_ttl",
            "unused": "session_closed_unused",
        }
        session.undergo(event, now, reasons[ended_by])
        session.ended_by = ended_by
        for appointment in (session.deadline, session.idle):
            if appointment is not None:
                appointment.call_off()
        qpu = self._qpus[session.backend]
        qpu.leave_line(session)
        qpu.release(session)
        self._fill(qpu, now)
