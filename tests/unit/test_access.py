"""The addresses that the guardian is given, against those that IBM documents."""

import pytest

from prefect_qsession.ibm.access import service_access
from prefect_qsession.ibm.records import RuntimeAccount


class ActiveService:
    """A service as far as its own account goes: what the client says without asking anyone."""

    def __init__(self, crn: str, url: str = "https://cloud.ibm.com") -> None:
        self.crn = crn
        self.url = url

    def active_instance(self) -> str:
        return self.crn

    def active_account(self) -> dict[str, str]:
        return {"url": self.url}


def crn(region: str) -> str:
    """Return the CRN of an instance in this region."""
    return f"crn:v1:bluemix:public:quantum-computing:{region}:a/0:1::"


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("us-east", "https://quantum.cloud.ibm.com/api/v1"),
        ("eu-de", "https://eu-de.quantum.cloud.ibm.com/api/v1"),
    ],
)
def test_each_region_has_the_address_that_ibm_documents(region, expected):
    """The Runtime API's reference gives one base URL a region."""
    access = service_access(ActiveService(crn(region)), RuntimeAccount("key", "name", "ibm_cloud"))

    assert expected == access.runtime_url
    assert "https://iam.cloud.ibm.com" == access.auth_url
    assert crn(region) == access.instance_crn


def test_an_account_with_addresses_of_its_own_keeps_them_as_they_are():
    """Ports and paths are not rewritten, and the proxies are the account's."""
    account = RuntimeAccount(
        "key",
        "name",
        "ibm_cloud",
        runtime_url="http://127.0.0.1:8080/api",
        auth_url="http://127.0.0.1:8081",
        proxies={"urls": {"https": "http://proxy:3128"}},
        verify=False,
    )

    access = service_access(ActiveService(crn("eu-de"), "http://127.0.0.1:8080/api"), account)

    assert "http://127.0.0.1:8080/api" == access.runtime_url
    assert "http://127.0.0.1:8081" == access.auth_url
    assert {"https": "http://proxy:3128"} == access.proxies
    assert not access.verify


def test_the_key_is_in_no_repr():
    """What is handed to the guardian may end up in a traceback."""
    access = service_access(
        ActiveService(crn("us-east")), RuntimeAccount("s3cret", "name", "ibm_cloud")
    )

    assert "s3cret" not in repr(access)
