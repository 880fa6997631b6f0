"""
What the flow's side tells the guardian's process: wards as plain data, with requests ready to send.

All that the requests need from the flow's environment, proxies and certificates, is decided here:
the guardian's process inherits no environment.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from requests import Session
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from prefect_qsession.ibm.records import ServiceAccess
from prefect_qsession.prefect_api.requests import HttpRequest
from prefect_qsession.release.records import Ward

API_VERSION = "2026-04-15"
"""Of the Runtime REST API, two of whose requests are made here."""

Message = dict[str, Any]


def guard(ward: Ward) -> Message:
    """Return the message that has a session guarded; it holds the secrets of the ward."""
    access = ward.access
    return {
        "do": "guard",
        "ward": {
            "session_id": ward.session_id,
            "outcome": ward.outcome.value,
            "api_key": access.api_key,
            "token": _token_request(access),
            "cancel": _session_request("DELETE", "/close", ward),
            "close": _session_request("PATCH", "", ward, '{"accepting_jobs": false}'),
            "tell": {outcome.value: _bare(request) for outcome, request in ward.tell.items()},
            "forget": ward.forget and _bare(ward.forget),
        },
    }


def change(session_id: str, outcome: str) -> Message:
    """Return the message that has a guarded session released in another way."""
    return {"do": "change", "session_id": session_id, "outcome": outcome}


def discharge(session_id: str) -> Message:
    """Return the message that ends the guard over a session."""
    return {"do": "discharge", "session_id": session_id}


def _token_request(access: ServiceAccess) -> Message:
    form = {
        "grant_type": "urn:ibm:params:oauth:grant-type:apikey",
        "apikey": access.api_key,
        "response_type": "cloud_iam",
    }
    return _request(
        "POST",
        f"{access.auth_url.rstrip('/')}/identity/token",
        {"Content-Type": "application/x-www-form-urlencoded"},
        urlencode(form),
        access,
    )


def _session_request(method: str, path: str, ward: Ward, body: str | None = None) -> Message:
    headers = {"Service-CRN": ward.access.instance_crn, "IBM-API-Version": API_VERSION}
    if body is not None:
        headers["Content-Type"] = "application/json"
    session = f"{ward.access.runtime_url.rstrip('/')}/sessions/{quote(ward.session_id, safe='')}"
    return _request(method, session + path, headers, body, ward.access)


def _bare(request: HttpRequest) -> Message:
    return _request(request.method, request.url, request.headers, request.body)


def _request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: str | None = None,
    access: ServiceAccess | None = None,
) -> Message:
    proxies, verify = (dict(access.proxies), access.verify) if access else ({}, True)
    # A proxy on the way to this very machine must have been asked for.
    on_this_machine = urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}
    # As the client does, which is built on it: the account's own settings, then the environment's.
    with Session() as session:
        session.trust_env = not (on_this_machine and not proxies)
        chosen = session.merge_environment_settings(url, proxies, None, verify, None)
    certificates = DEFAULT_CA_BUNDLE_PATH if chosen["verify"] is True else chosen["verify"]
    return {
        "method": method,
        "url": url,
        "headers": {"User-Agent": "prefect-qsession", "Accept": "application/json", **headers},
        "body": body,
        "proxy": select_proxy(url, chosen["proxies"]),
        "certificates": str(Path(certificates).absolute()) if certificates else None,
    }
