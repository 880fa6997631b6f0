"""The jobs of a flow run as rows of a table."""

from typing import Any

from prefect_qsession.reporting.report.histories import JobHistory
from prefect_qsession.reporting.report.model import RunReport

MOST_ROWS = 1000
"""The latest ones; Prefect's UI draws every row of a table at once."""


def job_rows(report: RunReport) -> list[dict[str, Any]]:
    """Return the latest jobs, in their order."""
    pages = {history.session_id: history.page for history in report.sessions}
    return [_row(job, pages.get(job.session_id)) for job in list(report.jobs.values())[-MOST_ROWS:]]


def _row(job: JobHistory, page: str | None) -> dict[str, Any]:
    seconds = None if job.over_at is None else round((job.over_at - job.at).total_seconds(), 2)
    row: dict[str, Any] = {
        "job": job.job_id,
        "state": str(job.stage),
        "seconds": seconds,
        "QPU seconds": job.charged_seconds,
        "attempt": "earlier" if job.is_reattached else "this",
        "program": job.program,
        "asked for (UTC)": f"{job.at:%Y-%m-%d %H:%M:%S}",
    }
    if page:
        row["page"] = job_page(page, job.job_id)
    return row


def job_page(session_page: str, job_id: str) -> str:
    """Return where people find a job, beside its session."""
    return f"{session_page.rpartition('/')[0]}/{job_id}"
