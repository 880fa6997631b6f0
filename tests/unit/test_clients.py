"""The client for those who cannot wait: how it is set up, without an API to ask."""

import ssl
from pathlib import Path

import certifi
import pytest
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_LOGGING_LEVEL,
    get_current_settings,
    temporary_settings,
)

from prefect_qsession.prefect_api.clients import RETRIES, _trust, short_timeout_client

pytestmark = pytest.mark.usefixtures("_somewhere")


@pytest.fixture
def _somewhere():
    """Name an API; nobody asks it."""
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        yield


def test_inside_there_are_few_retries_and_outside_as_many_as_were_set():
    """Also where settings change between two clients, and the second time."""
    for often in (7, 9, 9):
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: often}):
            with short_timeout_client():
                assert RETRIES == PREFECT_CLIENT_MAX_RETRIES.value()
            assert often == PREFECT_CLIENT_MAX_RETRIES.value()


def test_settings_are_made_once_for_all_clients():
    """Also for one inside another: a monitor keeps one, and beats by another."""
    seen = []
    for _ in range(2):
        with short_timeout_client():
            seen.append(get_current_settings())
            with short_timeout_client():
                seen.append(get_current_settings())

    assert 1 == len({id(settings) for settings in seen})


def test_all_other_settings_are_those_of_now():
    """What was kept of earlier settings is not used for later ones."""
    for level in ("DEBUG", "ERROR"):
        with temporary_settings({PREFECT_LOGGING_LEVEL: level}), short_timeout_client():
            assert level == PREFECT_LOGGING_LEVEL.value()


def test_each_client_is_the_callers_own():
    """One that is closed closes no other."""
    with short_timeout_client() as first:
        with short_timeout_client() as second:
            assert first is not second
        assert not first._client.is_closed


def test_it_trusts_whom_the_settings_trust(tmp_path):
    """Prefect's own choice: certifi's certificates, a file, or anybody."""
    only = tmp_path / "only.pem"
    end = "-----END CERTIFICATE-----\n"
    only.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    trusted = {
        "certifi": {},
        "file": {PREFECT_API_SSL_CERT_FILE: str(only)},
        "anybody": {PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True},
    }
    contexts = {}
    for name, settings in trusted.items():
        with temporary_settings(settings), short_timeout_client() as client:
            contexts[name] = client._client._transport._pool._ssl_context

    assert len(contexts["certifi"].get_ca_certs()) > 1
    assert 1 == len(contexts["file"].get_ca_certs())
    assert ssl.CERT_NONE == contexts["anybody"].verify_mode
    assert ssl.CERT_REQUIRED == contexts["certifi"].verify_mode


def test_what_is_slow_to_make_is_made_once():
    """A TLS context takes longer than a request."""
    first, second = (_trust(insecure=False, certificates=None) for _ in range(2))

    assert first is second
