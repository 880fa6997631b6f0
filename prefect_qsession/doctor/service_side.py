"""What the Runtime service says of the account: its key, its instance, its plan, the backend."""

from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import Any

from prefect_qsession.config.backends import LEAST_BUSY, LeastBusy
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.credentials import QiskitRuntimeCredentials
from prefect_qsession.doctor.findings import (
    Finding,
    judge_mode,
    judge_usage,
    ok,
    problem,
    skipped,
    warning,
)
from prefect_qsession.exceptions import (
    BackendOffline,
    ConfigurationError,
    ServiceError,
    ServiceUnavailable,
    Unauthorized,
    UnknownInstance,
)


def check_account(block: QiskitRuntimeCredentials) -> Generator[Finding, None, Any]:
    """Connect with the credentials; return the service, None if it is out of reach or refuses."""
    try:
        service = block.get_service()
    except Unauthorized:
        yield problem(
            "credentials",
            "the service does not accept the API key",
            "Put a valid one into the block: IBM Cloud console, Manage, Access (IAM), API keys.",
        )
        yield skipped("instance", "needs the credentials")
        return None
    except UnknownInstance as error:
        yield ok("credentials", "the API key is accepted")
        yield problem(
            "instance",
            f"the API key gives no access to {error.instance!r}",
            "Copy the CRN of the instance from its page into the block, or use a key of the "
            "account that owns it.",
        )
        return None
    except ServiceUnavailable as error:
        yield problem(
            "credentials",
            f"the Runtime service cannot be reached: {error}",
            "Check the network, and URLs and proxies in the block.",
        )
        yield skipped("instance", "needs the credentials")
        return None
    yield ok("credentials", "the API key is accepted")
    return service


def check_instance(service: Any, policy: ResolvedPolicy | None) -> Iterator[Finding]:
    """Tell the instance's plan, what is used of it, and which modes it allows."""
    from prefect_qsession.ibm.examination import instance_details  # noqa: PLC0415 - slow to import

    try:
        instance = instance_details(service)
    except ServiceError as error:
        yield problem("instance", str(error), "Look again later.")
        return
    yield ok("instance", f"{instance.name}, {instance.plan or 'unknown'} plan")
    yield judge_usage(instance)
    if policy is not None:
        yield judge_mode(instance, policy)


def check_backend(service: Any, name: str | None) -> Iterator[Finding]:
    """Look whether the backend, or the least busy one, takes jobs, and runs them."""
    from prefect_qsession.ibm.examination import pause_of  # noqa: PLC0415 - slow to import
    from prefect_qsession.ibm.service import find_backend  # noqa: PLC0415 - slow to import

    try:
        backend = find_backend(service, LeastBusy() if name in (None, LEAST_BUSY) else name)
        status = backend.status()
    except BackendOffline as error:
        yield problem(
            "backend",
            f"{error.backend_name} takes no jobs now ({error.status})",
            "Wait until it is back, or use another one.",
        )
    except (ConfigurationError, ServiceError) as error:
        yield problem("backend", str(error), "Name one of these, or 'least_busy'.")
    else:
        found = f"{backend.name}, {backend.num_qubits} qubits, {status.pending_jobs} jobs wait"
        if pause := pause_of(status):
            yield warning(
                "backend",
                f"{found}; {pause}",
                "It takes jobs, but runs none at the moment: wait, or use another one.",
            )
        else:
            yield ok("backend", found)


def ahead_of_service(service: Any, block: QiskitRuntimeCredentials) -> dict[str, timedelta]:
    """Return by how much this clock is ahead of the service's; nothing if it does not tell."""
    from prefect_qsession.ibm.access import service_access  # noqa: PLC0415 - slow to import
    from prefect_qsession.ibm.examination import ahead_of_service  # noqa: PLC0415 - slow to import

    offset = ahead_of_service(service_access(service, block.account()))
    return {} if offset is None else {"the Runtime service": offset}
