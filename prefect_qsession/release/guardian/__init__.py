"""A small process beside the flow's own, which ends its open sessions should it die."""

from prefect_qsession.release.guardian.guarding import Guardian, guardian

__all__ = ["Guardian", "guardian"]
