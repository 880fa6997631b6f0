"""What the guardian's process is told about the way to the service and to the ledger."""

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from prefect_qsession.ibm.records import ServiceAccess
from prefect_qsession.prefect_api.requests import HttpRequest
from prefect_qsession.release.guardian.messages import guard
from prefect_qsession.release.records import Ward

FORGET = HttpRequest("DELETE", "https://prefect.example/api/variables/name/x")


def _told(name: str, **changes):
    access = {
        "api_key": "key",
        "instance_crn": "crn:v1:x",
        "runtime_url": "https://quantum.example/api/v1",
        "auth_url": "https://iam.example",
    }
    return guard(Ward("an id/..", ServiceAccess(**{**access, **changes}), forget=FORGET))["ward"][
        name
    ]


@pytest.mark.parametrize(
    ("name", "method", "url"),
    [
        ("token", "POST", "https://iam.example/identity/token"),
        ("cancel", "DELETE", "https://quantum.example/api/v1/sessions/an%20id%2F../close"),
        ("close", "PATCH", "https://quantum.example/api/v1/sessions/an%20id%2F.."),
        ("forget", "DELETE", FORGET.url),
    ],
)
def test_the_requests_go_to_the_documented_addresses(name, method, url):
    """An id is one segment of the path, whatever it holds."""
    request = _told(name)

    assert (method, url) == (request["method"], request["url"])


def test_the_service_is_told_the_instance_and_the_version():
    """Without them it would answer for another account, or in another way."""
    headers = _told("cancel")["headers"]

    assert ("crn:v1:x", "2026-04-15") == (headers["Service-CRN"], headers["IBM-API-Version"])


def test_the_accounts_own_proxy_is_for_the_service_alone(monkeypatch):
    """The ledger is reached as the environment says."""
    monkeypatch.setenv("HTTPS_PROXY", "http://environment:1")
    names = ("token", "cancel", "close", "forget")
    proxies = [_told(name, proxies={"https": "http://own:1"})["proxy"] for name in names]

    assert [*["http://own:1"] * 3, "http://environment:1"] == proxies


def test_the_environments_proxy_is_used_but_for_the_hosts_it_leaves_out(monkeypatch):
    """As the client and Prefect do in the flow's process."""
    monkeypatch.setenv("HTTPS_PROXY", "http://environment:1")
    monkeypatch.setenv("NO_PROXY", "quantum.example")

    assert "http://environment:1" == _told("token")["proxy"]
    assert _told("cancel")["proxy"] is None


def test_this_machine_is_reached_without_a_proxy_unless_the_account_has_one(monkeypatch):
    """A proxy knows another machine by the name of this one."""
    monkeypatch.setenv("HTTP_PROXY", "http://environment:1")
    here = "http://127.0.0.1:8/api"

    assert _told("cancel", runtime_url=here)["proxy"] is None
    assert (
        "http://own:1"
        == _told("cancel", runtime_url=here, proxies={"http": "http://own:1"})["proxy"]
    )


def test_certificates_are_those_of_the_environment_unless_the_account_wants_no_check(
    monkeypatch, tmp_path
):
    """And those of the client where the environment says nothing."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    default = _told("cancel")["certificates"]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))

    assert DEFAULT_CA_BUNDLE_PATH == default
    assert str(tmp_path) == _told("cancel")["certificates"]
    assert _told("cancel", verify=False)["certificates"] is None
