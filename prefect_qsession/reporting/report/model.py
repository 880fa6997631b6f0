"""What is known of a flow run's sessions, jobs and numbers, as its events tell it."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import singledispatchmethod

from prefect_qsession.config.modes import Mode
from prefect_qsession.reporting import run_events as events
from prefect_qsession.reporting.report.histories import (
    BudgetUse,
    JobHistory,
    JobStage,
    Stage,
    WorkloadHistory,
)
from prefect_qsession.reporting.report.series import Series
from prefect_qsession.reporting.run_events import RunEvent
from prefect_qsession.states import SessionState

JOB_ENDS = {
    events.JobCompletedEvent: JobStage.COMPLETED,
    events.JobFailedEvent: JobStage.FAILED,
    events.JobCancelledEvent: JobStage.CANCELLED,
}


@dataclass
class RunReport:
    """
    Keep what is to be shown of one flow run; not thread-safe.

    Times are passed in, all of one clock.
    """

    asked_mode: Mode = Mode.SESSION
    long_queue_seconds: float = 3600.0
    sessions: list[WorkloadHistory] = field(default_factory=list)
    jobs: dict[str, JobHistory] = field(default_factory=dict)
    """By their ids, in their order."""
    refusals: list[events.ModeFallbackEvent] = field(default_factory=list)
    series: dict[str, Series] = field(default_factory=dict)
    """By the names that `track` was given."""
    iteration: int | None = None
    total: int | None = None
    budgets: list[BudgetUse] = field(default_factory=list)
    earlier: list[dict[str, str]] = field(default_factory=list)
    """The sessions of attempts whose reports are gone; see `summary`."""
    _under_way: set[str] = field(default_factory=set)
    """The jobs whose end is not known."""
    _long_since: set[datetime] = field(default_factory=set)
    """Since when something waits of which it was told that it waits long."""

    @property
    def current(self) -> WorkloadHistory | None:
        """The latest session."""
        return self.sessions[-1] if self.sessions else None

    @property
    def progress(self) -> float | None:
        """The share of the iterations that are done, in percent; None if it is not known."""
        if not self.total:
            return None
        return min(100.0 * (self.iteration or 0) / self.total, 100.0)

    @property
    def wants_looks(self) -> bool:
        """Whether time alone may change what is to be told: something waits in the queue."""
        return bool(self._queueing())

    def summary(self) -> list[dict[str, str]]:
        """Return the sessions in short, those of earlier attempts first, to be kept as text."""
        return self.earlier + [
            {
                "session_id": history.session_id,
                "mode": str(history.mode),
                "backend": history.backend or "",
                "stage": str(history.stage),
                "usage": "" if history.usage_seconds is None else f"{history.usage_seconds:.1f}",
            }
            for history in self.sessions
            if history.session_id
        ]

    # -- events

    def note(self, event: RunEvent, at: datetime) -> list[RunEvent]:
        """Take in an event of that time; return those that follow from it."""
        self._note(event, at)
        return self._first_start(event, at)

    def look(self, now: datetime) -> list[RunEvent]:
        """Return what happens only because time has passed."""
        found: list[RunEvent] = []
        for session_id, job_id, since in self._queueing():
            waited = (now - since).total_seconds()
            if waited >= self.long_queue_seconds and since not in self._long_since:
                self._long_since.add(since)
                found.append(events.LongQueueEvent(waited, session_id, job_id))
        return found

    def session_seen(self, session_id: str, usage_seconds: float | None) -> None:
        """Take in what the service says of a session's usage."""
        for history in self.sessions:
            if history.session_id == session_id and usage_seconds is not None:
                history.usage_seconds = usage_seconds

    def charged(self, job_id: str, seconds: float) -> None:
        """Take in what a job was charged."""
        if job := self.jobs.get(job_id):
            job.charged_seconds = seconds

    @singledispatchmethod
    def _note(self, event: RunEvent, at: datetime) -> None:
        """Of other kinds nothing is shown here."""

    @_note.register
    def _(self, _it: events.OpeningEvent, at: datetime) -> None:
        self.sessions.append(WorkloadHistory([(Stage.OPENING, at)]))

    @_note.register
    def _(self, it: events.ModeFallbackEvent, _at: datetime) -> None:
        self.refusals.append(it)

    @_note.register
    def _(self, it: events.RefusedEvent, at: datetime) -> None:
        if history := self.current:
            history.changes.append((Stage.REFUSED, at))
            history.reason = it.reason

    @_note.register
    def _(self, it: events.OpenedEvent, at: datetime) -> None:
        history = self.current
        if history is None or history.stage is not Stage.OPENING:
            history = WorkloadHistory([])
            self.sessions.append(history)
        history.session_id, history.mode, history.backend, history.page = (
            it.session_id,
            it.mode,
            it.backend,
            it.page,
        )
        # Where each job queues by itself, there is no first one to wait for.
        history.changes.append((Stage.ACTIVE if it.mode is Mode.JOB else Stage.QUEUED, at))

    @_note.register
    def _(self, it: events.StartedEvent, at: datetime) -> None:
        if history := self._session(it.session_id):
            history.queue_seconds = it.queue_seconds
            history.start(at)

    @_note.register
    def _(self, it: events.LostEvent, at: datetime) -> None:
        self._end(it.session_id, Stage.LOST, at, it.reason)

    @_note.register
    def _(self, it: events.ReleasingEvent, at: datetime) -> None:
        self._end(it.session_id, Stage.RELEASING, at)

    @_note.register
    def _(self, it: events.LeftOpenEvent, at: datetime) -> None:
        self._end(it.session_id, Stage.LEFT_OPEN, at, it.reason)

    @_note.register
    def _(self, it: events.ReleasedEvent, at: datetime) -> None:
        closed = it.state is SessionState.CLOSED
        self._end(it.session_id, Stage.CLOSED if closed else Stage.CANCELLED, at, it.reason)
        self.session_seen(it.session_id, it.usage_seconds)

    @_note.register
    def _(self, it: events.JobSubmittedEvent, at: datetime) -> None:
        self.jobs[it.job_id] = JobHistory(
            it.job_id,
            it.program,
            at,
            session_id=it.session_id,
            begins_round=not self._under_way,
        )
        self._under_way.add(it.job_id)
        if (history := self._session(it.session_id)) and history.first_job_at is None:
            history.first_job_at = at

    @_note.register
    def _(self, it: events.JobReattachedEvent, at: datetime) -> None:
        known = self.jobs.setdefault(it.job_id, JobHistory(it.job_id, it.program, at))
        known.is_reattached = True

    @_note.register
    def _(self, it: events.JobRunningEvent, at: datetime) -> None:
        if job := self.jobs.get(it.job_id):
            job.stage, job.running_at = JobStage.RUNNING, at

    @_note.register(events.JobCompletedEvent)
    @_note.register(events.JobFailedEvent)
    @_note.register(events.JobCancelledEvent)
    def _(self, it: "events.EndOfJob", at: datetime) -> None:
        if job := self.jobs.get(it.job_id):
            job.stage, job.over_at = JOB_ENDS[type(it)], at
            self._under_way.discard(it.job_id)

    @_note.register
    def _(self, it: events.TrackedEvent, _at: datetime) -> None:
        number = it.iteration
        if number is None and it.values:
            # Of a worker's, which knows nothing of the others.
            number = (self.iteration or 0) + 1
        # Tasks side by side end in any order.
        self.iteration = max(filter(None, (self.iteration, number)), default=None)
        self.total = it.total or self.total
        for name, value in it.values.items():
            self.series.setdefault(name, Series()).add(number, value)

    # -- what follows

    def _first_start(self, event: RunEvent, at: datetime) -> list[RunEvent]:
        """Return that a session has started, if its first job is the first to be seen running."""
        if not isinstance(event, events.JobRunningEvent | events.JobCompletedEvent):
            return []
        job = self.jobs.get(event.job_id)
        history = self._session(job.session_id) if job and not job.is_reattached else None
        return self.started(history, at) if history else []

    def started(self, history: WorkloadHistory, at: datetime) -> list[RunEvent]:
        """Return that a session is seen to have started, unless that is known."""
        if not history.may_start or history.first_job_at is None or history.session_id is None:
            return []
        return [
            events.StartedEvent(history.session_id, (at - history.first_job_at).total_seconds())
        ]

    def _queueing(self) -> list[tuple[str | None, str | None, datetime]]:
        """Return what waits in the queue, a session or jobs without one, and since when."""
        history = self.current
        if history is None:
            return []
        if history.mode is Mode.JOB:
            waiting = (self.jobs[job_id] for job_id in self._under_way)
            return [(None, it.job_id, it.at) for it in waiting if it.stage is JobStage.SUBMITTED]
        if history.stage is Stage.QUEUED and history.first_job_at is not None:
            return [(history.session_id, None, history.first_job_at)]
        return []

    def _session(self, session_id: str | None) -> WorkloadHistory | None:
        found = (history for history in reversed(self.sessions) if history.session_id == session_id)
        return next(found, None)

    def _end(self, session_id: str, stage: Stage, at: datetime, reason: str | None = None) -> None:
        history = self._session(session_id)
        if history is not None and history.stage is not stage:
            history.changes.append((stage, at))
            history.reason = reason or history.reason
