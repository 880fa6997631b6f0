"""
The token that a request to the service carries, from the identity service of IBM Cloud.

The client's own handler waits for up to a minute, in every request, once the identity service has
failed, and keeps a token that the service has refused.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any, Self

from ibm_cloud_sdk_core import ApiException, IAMTokenManager
from requests import PreparedRequest
from requests.auth import AuthBase
from requests.exceptions import RequestException

from prefect_qsession.ibm.records import ServiceAccess
from prefect_qsession.ibm.retry_policy import RETRY_POLICY, RetryPolicy

RENEWED_AFTER = 0.8
"""The part of its life after which a token is renewed."""


def _in_a_thread(renew: Callable[[], None]) -> None:
    Thread(target=renew, name="qsession-token", daemon=True).start()


_logger = logging.getLogger("prefect.qsession.ibm")


@dataclass(frozen=True)
class _Token:
    authorization: str = field(repr=False)
    renew_at: float
    ends_at: float


class TokenAuth(AuthBase):
    """
    Sign requests for one instance, with a token that is renewed ahead of its end. Thread-safe.

    Nothing is asked before the first request. A request waits for the identity service only if
    there is no valid token, and then for one try; while there is one, it is renewed aside, once,
    and requests go on. Without a new token requests carry the old one until it ends, then the API
    key itself, which the service takes as well.

    Args:
        access: Whose requests, and where the identity service is.
        retry_policy: How long a try for a token may take, and how soon after a failure the next.
        clock: Seconds that only grow. The token's life is counted on it, so that a wrong time of
            day makes no token look valid.
        aside: Has a renewal done that no request waits for.
    """

    def __init__(
        self,
        access: ServiceAccess,
        retry_policy: RetryPolicy = RETRY_POLICY,
        *,
        clock: Callable[[], float] = time.monotonic,
        aside: Callable[[Callable[[], None]], None] = _in_a_thread,
    ) -> None:
        self._aside = aside
        self._instance_crn = access.instance_crn
        self._api_key = access.api_key
        self._clock = clock
        # Of the SDK's manager only a single request is used; the waiting is in its `get_token`.
        self._identity_service = IAMTokenManager(
            access.api_key,
            url=access.auth_url,
            disable_ssl_verification=not access.verify,
            proxies=dict(access.proxies) or None,
        )
        limits = (retry_policy.connect_seconds, retry_policy.token_seconds)
        self._identity_service.http_config = {"timeout": limits}
        self._rest_seconds = retry_policy.token_rest_seconds
        self._token: _Token | None = None
        self._asking, self._pid = Lock(), os.getpid()
        self._ask_from = clock()

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Sign a request that is about to be sent."""
        r.headers["Service-CRN"] = self._instance_crn
        r.headers["Authorization"] = self._authorization()
        return r

    def sign_anew(self, request: PreparedRequest) -> None:
        """
        Sign a request again whose token the service has refused, and forget that token.

        Of many requests with the same refused token, one asks for a new one. It may be the same as
        before, where the identity service has no other, or does not answer.
        """
        refused = str(request.headers["Authorization"])
        request.headers["Authorization"] = self._authorization(refused)

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        """Return itself: a copy of a backend, with its client, is of the same account."""
        return self

    def _authorization(self, refused: str | None = None) -> str:
        if self._pid != os.getpid():
            # In a fork the thread that asks for a token is not there, and would be waited for.
            self._asking, self._pid = Lock(), os.getpid()
        known, now = self._token, self._clock()
        if known is not None and known.authorization == refused:
            known = None
        if known is not None and now < known.renew_at:
            return known.authorization
        if known is not None and now < known.ends_at:
            if self._asking.acquire(blocking=False):
                self._aside(self._renew)
            return known.authorization
        with self._asking:
            known = self._renewed(refused)
        return known.authorization if known is not None else f"apikey {self._api_key}"

    def _renew(self) -> None:
        try:
            self._renewed(None)
        finally:
            self._asking.release()

    def _renewed(self, refused: str | None) -> _Token | None:
        """Return a token newer than those known before, or the old one if it is still good."""
        known, now = self._token, self._clock()
        if known is not None and (known.authorization == refused or now >= known.ends_at):
            known = None
        # Another thread may have been faster, or may just have failed.
        if (known is None or now >= known.renew_at) and now >= self._ask_from:
            known = self._asked_for() or known
        self._token = known
        return known

    def _asked_for(self) -> _Token | None:
        asked_at = self._clock()
        try:
            answer = self._identity_service.request_token()
            authorization = f"Bearer {answer['access_token']}"
            life_seconds = float(answer["expires_in"])
        except (ApiException, RequestException, KeyError, TypeError, ValueError) as error:
            self._ask_from = self._clock() + self._rest_seconds
            _logger.warning(
                "The identity service gave no token (%s %s). Until it does, requests carry the "
                "last one while it is valid, then the API key.",
                type(error).__name__,
                getattr(error, "status_code", ""),
            )
            return None
        return _Token(
            authorization, asked_at + RENEWED_AFTER * life_seconds, asked_at + life_seconds
        )
