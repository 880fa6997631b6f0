"""
The session report: what a flow run's session, jobs and numbers look like to whoever watches it.

Pure: `RunReport` is fed facts with their times, the rest turns it into text and pictures. It
knows neither Prefect nor the service, and does no I/O.
"""

from prefect_qsession.reporting.report.lives import BudgetUse, is_over
from prefect_qsession.reporting.report.markdown import markdown
from prefect_qsession.reporting.report.model import RunReport
from prefect_qsession.reporting.report.tables import job_rows

__all__ = ["BudgetUse", "RunReport", "is_over", "job_rows", "markdown"]
