"""Show a flow run's session report in Prefect's UI, as often as it is worth it."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from prefect.logging.loggers import get_logger

from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import ServiceError
from prefect_qsession.ibm.records import WorkloadDetails
from prefect_qsession.prefect_api.owners import Owner, tag_flow_run
from prefect_qsession.reporting.artifacts import RunArtifacts
from prefect_qsession.reporting.report.histories import BudgetUse
from prefect_qsession.reporting.report.markdown import markdown
from prefect_qsession.reporting.report.model import RunReport
from prefect_qsession.reporting.report.tables import job_rows
from prefect_qsession.reporting.run_events import OpenedEvent, RunEvent

logger = get_logger("qsession.reporter")

EVERY = timedelta(seconds=5)
"""Between two updates of a report at the least."""

CHARGES_EVERY = timedelta(seconds=60)
"""Between two questions what jobs were charged: with short jobs, one for each update would be one
request in twenty."""


class ReportSource(Protocol):
    """What a report asks for, beside what it is told; the last two ask the service."""

    def budgets(self) -> list[BudgetUse]:
        """Return how much of the flow run's budgets is spent."""
        ...

    def details(self) -> WorkloadDetails | None:
        """Return how the session stands. May raise a `ServiceError`."""
        ...

    def charges(self, job_ids: Collection[str]) -> Mapping[str, float]:
        """Return what these jobs were charged, as far as it counts. May raise a `ServiceError`."""
        ...


class Reporter:
    """
    Keep a flow run's report, and show it; for one thread.

    Args:
        source: Is asked for what nobody tells.
        asked_mode: The mode that the flow asks for.
        long_queue_seconds: After how long a wait in the queue is told of.
    """

    def __init__(self, source: ReportSource, asked_mode: Mode, long_queue_seconds: float) -> None:
        self._source = source
        self._report = RunReport(asked_mode, long_queue_seconds)
        self._artifacts: RunArtifacts | None = None
        self._is_restored = False
        self._has_changed = False
        self._next_at: datetime | None = None
        self._charges_at: datetime | None = None
        self._link: OpenedEvent | None = None
        self._tags: list[str] = []

    def note(self, event: RunEvent, at: datetime) -> list[RunEvent]:
        """Take in an event; return those that follow from it."""
        self._has_changed = True
        if isinstance(event, OpenedEvent):
            self._tags = [f"backend:{event.backend}", f"mode:{event.mode}"]
            self._link = event if event.page and event.mode is not Mode.JOB else None
            # Whoever opens the run's page while it queues finds a report, however long it waits.
            self._next_at = None
        return self._report.note(event, at)

    def seconds_left(self, now: datetime) -> float | None:
        """Return in how many seconds to `refresh`; None while there is nothing to do."""
        if not self._has_changed and not self._report.wants_looks:
            return None
        if self._next_at is None:
            return 0.0
        return max((self._next_at - now).total_seconds(), 0.0)

    def look(self, now: datetime, *, is_last: bool) -> list[RunEvent]:
        """Ask the service for what nobody tells; return the events of it."""
        report = self._report
        events: list[RunEvent] = []
        with suppress(ServiceError):
            if report.wants_looks and (history := report.current) and history.mode is not Mode.JOB:
                details = self._source.details()
                if details and details.session_id == history.session_id and details.started_at:
                    events += report.started(history, now)
            if is_last or self._charges_at is None or now >= self._charges_at:
                self._read_charges(now)
        report.budgets = self._source.budgets()
        return [*events, *(report.look(now) if not events else [])]

    def refresh(self, owner: Owner, now: datetime, *, is_last: bool, is_complete: bool) -> None:
        """
        Show the report as it stands. Raises what the Prefect API's client raises.

        Args:
            owner: The flow run.
            now: The time.
            is_last: Whether its end is near: the table of jobs is shown, too.
            is_complete: Whether it has completed, and with it whatever iterations were needed.
        """
        self._next_at = now + EVERY
        artifacts = self._artifacts = self._artifacts or RunArtifacts(
            owner.flow_run_id, may_exist=owner.flow_run.run_count > 1
        )
        if not self._is_restored:
            self._report.earlier = artifacts.earlier_sessions()
            self._is_restored = True
        report = self._report
        self._has_changed = False
        try:
            if self._tags:
                tag_flow_run(owner.flow_run, *self._tags)
                self._tags = []
            artifacts.show_report(markdown(report, now), report.summary())
            if report.progress is not None:
                artifacts.show_progress(100.0 if is_complete else round(report.progress, 1))
            if self._link and self._link.page:
                artifacts.show_link(f"{self._link.mode} {self._link.session_id}", self._link.page)
                self._link = None
            if is_last and report.jobs:
                artifacts.show_jobs(job_rows(report))
        except BaseException:
            self._has_changed = True
            raise

    def read_usage(self) -> None:
        """Ask what the session was billed, if that is not known at the end."""
        history = self._report.current
        if history is None or history.usage_seconds is not None or history.mode is Mode.JOB:
            return
        with suppress(ServiceError):
            if details := self._source.details():
                self._report.session_seen(details.session_id, details.usage_seconds)

    def _read_charges(self, now: datetime) -> None:
        report = self._report
        unknown = [
            job.job_id
            for job in report.jobs.values()
            if job.is_over and job.charged_seconds is None
        ]
        if unknown:
            self._charges_at = now + CHARGES_EVERY
            for job_id, seconds in self._source.charges(unknown).items():
                report.charged(job_id, seconds)

    def close(self) -> None:
        """Let go of the connection to the Prefect API."""
        if self._artifacts:
            self._artifacts.close()
