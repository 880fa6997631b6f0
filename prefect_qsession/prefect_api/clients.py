"""
The Prefect client: for those who cannot wait long for an answer, and one for many tasks.

And a request to its API for a process that is without Prefect.
"""

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import certifi
import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import (
    AsyncClientContext,
    SettingsContext,
    SyncClientContext,
    get_settings_context,
)
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    Settings,
    get_current_settings,
)

from prefect_qsession.prefect_api.requests import HttpRequest

REQUEST_SECONDS = 5.0
RETRIES = 1


@contextmanager
def short_timeout_client() -> Iterator[SyncPrefectClient]:
    """
    Give a client that asks again once if the API is busy or does not answer, and then gives up.

    That is after some twelve seconds at the worst, whatever Prefect's own settings or the API say
    of retries. The client is the caller's own: one that Prefect shares by context belongs to a task
    or flow run, and is closed when that ends, also under a thread that has copied the context.
    """
    context = get_settings_context()
    api = context.settings.api
    with (
        # Prefect's client would ask six times and wait a minute each time, and as long as the API
        # says in between: too long for a flow that is ending.
        SettingsContext(profile=context.profile, settings=_short_timeout(context.settings)),
        # With settings of its own, the client is not a shared one.
        get_client(
            sync_client=True,
            httpx_settings={
                "timeout": REQUEST_SECONDS,
                "event_hooks": {"response": [_without_its_wish_to_wait]},
                "verify": _trust(
                    insecure=api.tls_insecure_skip_verify, certificates=api.ssl_cert_file
                ),
            },
        ) as client,
    ):
        yield client


_latest: tuple[Settings, Settings] | None = None


def _short_timeout(settings: Settings) -> Settings:
    """Return the settings with few retries; kept, because Prefect takes 45 ms to make them."""
    global _latest  # noqa: PLW0603 - replaced as a whole, so that threads need no lock
    if settings.client.max_retries == RETRIES:
        # Inside another such client, or set by the user.
        return settings
    if _latest is None or _latest[0] is not settings:
        few = settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: RETRIES})
        _latest = (settings, few)
        return few
    return _latest[1]


@cache
def _trust(*, insecure: bool, certificates: str | None) -> ssl.SSLContext:
    """Return what Prefect makes anew for each client, by its rules; that takes 35 ms."""
    if not insecure:
        return ssl.create_default_context(cafile=certificates or certifi.where())
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def one_client_for_all_tasks() -> Iterator[None]:
    """
    Have whatever runs inside share one synchronous client, as the tasks of a sync flow do.

    In an async flow Prefect makes a client for each sync task by itself, with a TLS context of its
    own: 25 to 50 ms a task.
    """
    shared = SyncClientContext.get_or_create()
    shared.__enter__()
    try:
        yield
    finally:
        # An async generator flow that is left by `break` ends in another context, where Prefect
        # has closed the client before it stumbles.
        with suppress(ValueError):
            shared.__exit__(None, None, None)


def a_run_begins_here() -> bool:
    """
    Tell Prefect's engine, when it enters the task runner of a flow run, from whoever else does.

    The engine has a client by then, and shares it by context. Whoever rebuilds a flow run's context
    for a task in another process has none yet.
    """
    return SyncClientContext.get() is not None or AsyncClientContext.get() is not None


def bare_request(method: str, path: str, body: str | None = None) -> HttpRequest | None:
    """
    Return a request to the Prefect API that a process without Prefect can send.

    None where the API is a temporary one, which ends with this process. An API that is protected
    against cross-site requests will refuse it.

    Args:
        method: Of HTTP.
        path: Below the address of the API.
        body: JSON.
    """
    url = PREFECT_API_URL.value()
    if not url:
        return None
    headers = {**get_current_settings().client.custom_headers}
    if auth_string := PREFECT_API_AUTH_STRING.value():
        headers["Authorization"] = f"Basic {base64.b64encode(auth_string.encode()).decode()}"
    elif api_key := PREFECT_API_KEY.value():
        headers["Authorization"] = f"Bearer {api_key}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    return HttpRequest(method, f"{url.rstrip('/')}{path}", headers, body)


def _without_its_wish_to_wait(response: httpx.Response) -> None:
    for header in ("Retry-After", "Prefect-Maintenance"):
        response.headers.pop(header, None)
