"""What stands between this machine and a session flow, looked at part by part, with what to do."""

from prefect_qsession.doctor.diagnosis import diagnose
from prefect_qsession.doctor.findings import Finding, Standing

__all__ = ["Finding", "Standing", "diagnose"]
