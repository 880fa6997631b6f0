"""What is known of a flow run's sessions, jobs and numbers, as its happenings tell it."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import singledispatchmethod

from prefect_qsession.config.modes import Mode
from prefect_qsession.reporting import run_events as told
from prefect_qsession.reporting.report.histories import (
    BudgetUse,
    JobLife,
    JobStage,
    SessionLife,
    Stage,
)
from prefect_qsession.reporting.report.series import Series
from prefect_qsession.reporting.run_events import Happening
from prefect_qsession.states import SessionState

LONG_QUEUE_SECONDS = 3600.0
"""Whoever waits longer than that in the queue may want to know."""


@dataclass
class RunReport:
    """
    Keep what is to be shown of one flow run; not thread-safe.

    Times are passed in, all of one clock.
    """

    asked_mode: Mode = Mode.SESSION
    long_queue_seconds: float = LONG_QUEUE_SECONDS
    sessions: list[SessionLife] = field(default_factory=list)
    jobs: dict[str, JobLife] = field(default_factory=dict)
    """By their ids, in their order."""
    refusals: list[told.ModeFallback] = field(default_factory=list)
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
    def current(self) -> SessionLife | None:
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
                "session_id": life.session_id,
                "mode": str(life.mode),
                "backend": life.backend or "",
                "stage": str(life.stage),
                "usage": "" if life.usage_seconds is None else f"{life.usage_seconds:.1f}",
            }
            for life in self.sessions
            if life.session_id
        ]

    # -- facts

    def note(self, happening: Happening, at: datetime) -> list[Happening]:
        """Take in a fact of that time; return what follows from it that is news, too."""
        self._note(happening, at)
        return self._first_start(happening, at)

    def look(self, now: datetime) -> list[Happening]:
        """Return what is news only because time has passed."""
        news: list[Happening] = []
        for session_id, job_id, since in self._queueing():
            waited = (now - since).total_seconds()
            if waited >= self.long_queue_seconds and since not in self._long_since:
                self._long_since.add(since)
                news.append(told.QueueLong(waited, session_id, job_id))
        return news

    def session_seen(self, session_id: str, usage_seconds: float | None) -> None:
        """Take in what the service says of a session's usage."""
        for life in self.sessions:
            if life.session_id == session_id and usage_seconds is not None:
                life.usage_seconds = usage_seconds

    def charged(self, job_id: str, seconds: float) -> None:
        """Take in what a job was charged."""
        if job := self.jobs.get(job_id):
            job.charged_seconds = seconds

    @singledispatchmethod
    def _note(self, happening: Happening, at: datetime) -> None:
        """Of other kinds of fact nothing is shown here."""

    @_note.register
    def _(self, _it: told.SessionOpening, at: datetime) -> None:
        self.sessions.append(SessionLife([(Stage.OPENING, at)]))

    @_note.register
    def _(self, it: told.ModeFallback, _at: datetime) -> None:
        self.refusals.append(it)

    @_note.register
    def _(self, it: told.SessionRefused, at: datetime) -> None:
        if life := self.current:
            life.changes.append((Stage.REFUSED, at))
            life.reason = it.reason

    @_note.register
    def _(self, it: told.SessionOpened, at: datetime) -> None:
        life = self.current
        if life is None or life.stage is not Stage.OPENING:
            life = SessionLife([])
            self.sessions.append(life)
        life.session_id, life.mode, life.backend, life.page = (
            it.session_id,
            it.mode,
            it.backend,
            it.page,
        )
        # Where each job queues by itself, there is no first one to wait for.
        life.changes.append((Stage.ACTIVE if it.mode is Mode.JOB else Stage.QUEUED, at))

    @_note.register
    def _(self, it: told.SessionStarted, at: datetime) -> None:
        if life := self._session(it.session_id):
            life.queue_seconds = it.queue_seconds
            life.start(at)

    @_note.register
    def _(self, it: told.SessionLost, at: datetime) -> None:
        self._end(it.session_id, Stage.LOST, at, it.reason)

    @_note.register
    def _(self, it: told.SessionReleasing, at: datetime) -> None:
        self._end(it.session_id, Stage.RELEASING, at)

    @_note.register
    def _(self, it: told.SessionLeftOpen, at: datetime) -> None:
        self._end(it.session_id, Stage.LEFT_OPEN, at, it.reason)

    @_note.register
    def _(self, it: told.SessionReleased, at: datetime) -> None:
        closed = it.state is SessionState.CLOSED
        self._end(it.session_id, Stage.CLOSED if closed else Stage.CANCELLED, at, it.reason)
        self.session_seen(it.session_id, it.usage_seconds)

    @_note.register
    def _(self, it: told.JobSubmitted, at: datetime) -> None:
        self.jobs[it.job_id] = JobLife(
            it.job_id,
            it.program,
            at,
            session_id=it.session_id,
            begins_round=not self._under_way,
        )
        self._under_way.add(it.job_id)
        if (life := self._session(it.session_id)) and life.first_job_at is None:
            life.first_job_at = at

    @_note.register
    def _(self, it: told.JobReattached, at: datetime) -> None:
        known = self.jobs.setdefault(it.job_id, JobLife(it.job_id, it.program, at))
        known.is_reattached = True

    @_note.register
    def _(self, it: told.JobRunning, at: datetime) -> None:
        if job := self.jobs.get(it.job_id):
            job.stage, job.running_at = JobStage.RUNNING, at

    @_note.register
    def _(self, it: told.JobCompleted, at: datetime) -> None:
        self._job_over(it.job_id, JobStage.COMPLETED, at)

    @_note.register
    def _(self, it: told.JobFailed, at: datetime) -> None:
        self._job_over(it.job_id, JobStage.FAILED, at)

    @_note.register
    def _(self, it: told.JobCancelled, at: datetime) -> None:
        self._job_over(it.job_id, JobStage.CANCELLED, at)

    @_note.register
    def _(self, it: told.Tracked, _at: datetime) -> None:
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

    def _first_start(self, happening: Happening, at: datetime) -> list[Happening]:
        """Return that a session has started, if its first job is the first to be seen running."""
        if not isinstance(happening, told.JobRunning | told.JobCompleted):
            return []
        job = self.jobs.get(happening.job_id)
        life = self._session(job.session_id) if job and not job.is_reattached else None
        return self.started(life, at) if life else []

    def started(self, life: SessionLife, at: datetime) -> list[Happening]:
        """Return that a session is seen to have started, unless that is known."""
        if not life.may_start or life.first_job_at is None or life.session_id is None:
            return []
        return [told.SessionStarted(life.session_id, (at - life.first_job_at).total_seconds())]

    def _queueing(self) -> list[tuple[str | None, str | None, datetime]]:
        """Return what waits in the queue, a session or jobs without one, and since when."""
        life = self.current
        if life is None:
            return []
        if life.mode is Mode.JOB:
            waiting = (self.jobs[job_id] for job_id in self._under_way)
            return [(None, it.job_id, it.at) for it in waiting if it.stage is JobStage.SUBMITTED]
        if life.stage is Stage.QUEUED and life.first_job_at is not None:
            return [(life.session_id, None, life.first_job_at)]
        return []

    def _session(self, session_id: str | None) -> SessionLife | None:
        found = (life for life in reversed(self.sessions) if life.session_id == session_id)
        return next(found, None)

    def _end(self, session_id: str, stage: Stage, at: datetime, reason: str | None = None) -> None:
        life = self._session(session_id)
        if life is not None and life.stage is not stage:
            life.changes.append((stage, at))
            life.reason = reason or life.reason

    def _job_over(self, job_id: str, stage: JobStage, at: datetime) -> None:
        if job := self.jobs.get(job_id):
            job.stage, job.over_at = stage, at
            self._under_way.discard(job_id)
