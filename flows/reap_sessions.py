"""
Release the sessions that were left open: the last layer of defence before `max_time`.

Deployed by `deployments/`, it runs every five minutes, and at once when a flow run crashes or is
cancelled. It needs the saved credentials blocks that the sessions were opened with,
nothing else.
"""

from typing import Annotated

from prefect import flow, get_run_logger
from pydantic import Field

from prefect_qsession import reap_sessions


@flow(name="reap-sessions", flow_run_name="reap", retries=1, retry_delay_seconds=30)
def reap(patience_seconds: Annotated[float, Field(ge=0)] | None = None) -> list[str]:
    """
    Release every recorded session whose flow run is over, or whose process is gone.

    Args:
        patience_seconds: How long a heartbeat must be missing before it counts as lost; two and a
            half heartbeats, as set where this runs, if left out. Waited for only if there is a
            session in doubt.

    Returns:
        One line for each session that was not simply left alone.
    """
    logger = get_run_logger()
    lines = [str(reaped) for reaped in reap_sessions(patience_seconds=patience_seconds)]
    for line in lines:
        logger.info("%s", line)
    return lines


if __name__ == "__main__":
    print("\n".join(reap()) or "No session was left open.")  # noqa: T201 - a command
