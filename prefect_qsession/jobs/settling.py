"""Jobs that are over, and whose results nobody has asked for: cancelled, polled, or forgotten."""

from typing import TYPE_CHECKING
from uuid import UUID

from prefect_qsession.jobs.activity import Activity
from prefect_qsession.jobs.reattachment import run_tag

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService


def settle_what_is_over(
    activity: Activity, service: "QiskitRuntimeService", flow_run_id: UUID
) -> None:
    """
    Account for the jobs that are over, whoever waits for them or does not.

    Asks once for those that are not, and then for each that has ended since the last time.

    Raises:
        ServiceError: The service did not tell; the rest is left for the next time.
    """
    from prefect_qsession.ibm.jobs import pending_jobs  # noqa: PLC0415 - slow to import

    # Before the service is asked: what is submitted meanwhile may not be in its list.
    if not (unsettled := activity.unsettled()):
        return
    pending = pending_jobs(service, run_tag(flow_run_id))
    if pending is None:
        return
    for settle in unsettled:
        settle(pending)
