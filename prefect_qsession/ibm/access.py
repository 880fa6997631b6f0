"""Where the Runtime service is, in plain addresses, for a process that cannot afford the client."""

from collections.abc import Callable
from dataclasses import replace

from qiskit_ibm_runtime import QiskitRuntimeService

from prefect_qsession.ibm.records import RuntimeAccount, ServiceAccess

IAM_URL = "https://iam.cloud.ibm.com"
"""IBM Cloud's identity service (docs: cloud setup, REST API)."""


def verbatim(url: str, _instance: str, _private: bool | None, _channel: str) -> str:
    """Return the URL as it stands; the client's own resolver drops ports and prepends regions."""
    return url


def regional(url: str, instance: str, _private: bool | None, _channel: str) -> str:
    """Return the address of the instance's region (API reference, base URLs)."""
    if not instance.startswith("crn:"):
        return url
    scheme, _, host = url.partition("://")
    region = instance.split(":")[5]
    return f"{scheme}://{'' if region == 'us-east' else f'{region}.'}quantum.{host}/api/v1"


def resolver(account: RuntimeAccount) -> Callable[[str, str, bool | None, str], str]:
    """Return what decides on the address, for the client and for the guardian alike."""
    return verbatim if account.runtime_url else regional


def account_access(account: RuntimeAccount) -> ServiceAccess:
    """Return what it takes to sign requests of this account, before its instance is known."""
    return ServiceAccess(
        api_key=account.api_key,
        instance_crn="",
        runtime_url=account.runtime_url or "",
        auth_url=account.auth_url or IAM_URL,
        proxies=dict((account.proxies or {}).get("urls", {})),
        verify=account.verify,
    )


def service_access(service: QiskitRuntimeService, account: RuntimeAccount) -> ServiceAccess:
    """Return what it takes to end a session of this service's active instance; asks nothing."""
    crn = service.active_instance()
    resolve = resolver(account)
    raw_url = (service.active_account() or {})["url"]
    return replace(
        account_access(account),
        instance_crn=crn,
        runtime_url=resolve(raw_url, crn, False, account.channel),  # noqa: FBT003 - its signature
    )
