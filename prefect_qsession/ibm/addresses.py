"""
Where an account is: the services beside the Runtime service that the client asks who it is.

The client reads these addresses from the environment, which is the whole process's: a service that
somebody makes meanwhile would send its key to another account's identity service.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from ibm_cloud_sdk_core.authenticators import Authenticator, IAMAuthenticator

SEARCH_PATH = "/v3/resources/search"
"""Of the search for instances; what else is asked is the catalog, for a plan by its id."""

_environment_lock = Lock()


def _renew_lock() -> None:
    """In a fork: a thread of the parent may have held it, and is not there to release it."""
    global _environment_lock  # noqa: PLW0603 - a fork has one thread
    _environment_lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True)
class Addresses:
    """Those of one account; None where IBM's own apply, which belong to the address of its URL."""

    auth_url: str | None = None
    search_url: str | None = None
    catalog_url: str | None = None

    def beside(self, url: str) -> "Addresses":
        """Return them with IBM's own in the place of None, as the client has them."""
        parts = urlsplit(url)

        def own(prefix: str, path: str = "") -> str:
            return f"{parts.scheme}://{prefix}.{parts.hostname}{path}"

        return Addresses(
            self.auth_url or own("iam"),
            self.search_url or own("api.global-search-tagging"),
            self.catalog_url or own("globalcatalog", "/api/v1"),
        )


class AddressedAuthenticator(Authenticator):  # type: ignore[misc]  # the SDK ships no types
    """
    Sign requests for an account's instances, and send them where the account has them.

    Args:
        signs: The client's own, for this account's key.
        addresses: The account's, all of them.
    """

    def __init__(self, signs: IAMAuthenticator, addresses: Addresses) -> None:
        self._signs = signs
        self._addresses = addresses
        # Before it has asked for a token.
        signs.token_manager.url = addresses.auth_url

    def authenticate(self, req: dict[str, Any]) -> None:
        """Sign a request that is about to be sent, whose address came from the environment."""
        path = urlsplit(req["url"]).path
        req["url"] = (
            f"{self._addresses.search_url}{SEARCH_PATH}"
            if path.endswith(SEARCH_PATH)
            else f"{self._addresses.catalog_url}/{path.rpartition('/')[2]}"
        )
        self._signs.authenticate(req)

    def authentication_type(self) -> str:
        """Return the kind of what signs."""
        return str(self._signs.authentication_type())

    def validate(self) -> None:
        """Leave it to what signs."""
        self._signs.validate()


@contextmanager
def in_environment(addresses: Addresses) -> Iterator[None]:
    """
    Set the client's environment variables for a moment, and empty those that are None.

    For a client that has no other way. It takes an empty one for none. One account at a time, those
    without addresses of their own included: otherwise its key would go to the identity service of
    the account that connects beside it. A service that others make meanwhile is not kept from that.
    """
    variables = {
        "IAM_URL": addresses.auth_url,
        "GLOBAL_SEARCH_URL": addresses.search_url,
        "GLOBAL_CATALOG_URL": addresses.catalog_url,
    }
    with _environment_lock:
        before = {name: os.environ.get(name) for name in variables}
        _set_environment(variables)
        try:
            yield
        finally:
            _set_environment(before)


def _set_environment(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        # None is taken away, not even one that was not there: another thread that reads the whole
        # environment, as Prefect does for its settings, would stumble over it (KeyError).
        if (value or "") != os.environ.get(name, ""):
            os.environ[name] = value or ""
