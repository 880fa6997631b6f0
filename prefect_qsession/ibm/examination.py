"""What an account's instance is and has used, and what the service's clock says."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from qiskit_ibm_runtime import QiskitRuntimeService

from prefect_qsession.ibm.errors import translated
from prefect_qsession.ibm.records import InstanceDetails, ServiceAccess

ANSWER_SECONDS = 10.0
NAMELESS_PLAN = "plan"
"""What the client calls every plan where it cannot ask for its name."""


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
    return InstanceDetails(
        crn=crn,
        name=told.get("name") or crn,
        plan=None if plan == NAMELESS_PLAN else plan,
        consumed_seconds=usage.get("usage_consumed_seconds", 0),
        limit_seconds=usage.get("usage_limit_seconds"),
        limit_reached=bool(usage.get("usage_limit_reached")),
    )


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
