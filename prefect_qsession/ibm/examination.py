"""What an account's instance is and has used, and what the service's clock says."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.models import BackendStatus

from prefect_qsession.ibm.codes import (
    LONGEST_BATCH_SECONDS,
    NAMELESS_PLAN,
    RUNS_JOBS,
)
from prefect_qsession.ibm.errors import translated
from prefect_qsession.ibm.records import InstanceDetails, ServiceAccess

ANSWER_SECONDS = 10.0


def instance_details(service: QiskitRuntimeService) -> InstanceDetails:
    """
    Return what the service tells of its active instance.

    Raises:
        ServiceError: The service did not tell.
    """
    crn = service.active_instance()
    with translated("read the usage of the instance"):
        usage = service.usage()
    told: dict[str, Any] = next((each for each in service.instances() if each["crn"] == crn), {})
    plan = told.get("plan")
    plan = None if plan == NAMELESS_PLAN else plan
    return InstanceDetails(
        name=told.get("name") or crn,
        plan=plan,
        has_sessions=None if plan is None else plan not in LONGEST_BATCH_SECONDS,
        longest_batch_seconds=LONGEST_BATCH_SECONDS.get(plan or ""),
        consumed_seconds=usage.get("usage_consumed_seconds", 0),
        limit_seconds=usage.get("usage_limit_seconds"),
        limit_reached=bool(usage.get("usage_limit_reached")),
    )


def pause_of(status: BackendStatus) -> str | None:
    """Return why a backend that takes jobs runs none, in the service's word; None if it does."""
    return None if status.status_msg in RUNS_JOBS else str(status.status_msg)


def ahead_of_service(access: ServiceAccess) -> timedelta | None:
    """Return how far this clock is ahead of the service's, to a second; None if it is not told."""
    try:
        # Without the key: whatever the answer says, it is dated.
        answer = requests.head(
            access.runtime_url,
            timeout=ANSWER_SECONDS,
            proxies=dict(access.proxies) or None,
            verify=access.verify,
        )
        return datetime.now(UTC) - parsedate_to_datetime(answer.headers["Date"])
    except (requests.RequestException, KeyError, ValueError):
        return None
