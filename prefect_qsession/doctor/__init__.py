"""What stands between this machine and a session flow, looked at part by part, with what to do."""

from prefect_qsession.doctor.diagnosis import diagnose
from prefect_qsession.doctor.findings import CheckStanding, Finding

__all__ = ["CheckStanding", "Finding", "diagnose"]
