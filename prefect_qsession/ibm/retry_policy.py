"""
When a request to the service is sent again, how long it may take, and what is in doubt after it.

Decisions only: `transport` carries them out, `errors` tells of them.
"""

import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from requests import Response, exceptions
from urllib3.exceptions import NewConnectionError

TRANSIENT = frozenset({429, 500, 502, 503, 504, *range(520, 525)})
"""Answers after which the same request may succeed; 520 and above are those of IBM's gateway."""
IDEMPOTENT = frozenset({"GET", "PUT", "DELETE", "PATCH"})
"""Doing it twice is doing it once. The only PATCH there is tells a session to take no more jobs."""

_SERVER_ERRORS = range(500, 600)
_LOST = (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError)

TryResult = Response | exceptions.RequestException
"""What came of one try."""


@dataclass(frozen=True)
class RetryPolicy:
    """
    How long to wait for the service, and when to ask again, in seconds.

    Args:
        connect_seconds: For a connection, and for each piece of a body to go out on a new one.
        read_seconds: For the answer, and for each piece of it.
        submit_seconds: The same for a new job, which the service reads and checks first.
        total_seconds: No repeat begins later than this after the first try.
        first_pause_seconds: Before the first repeat; doubled each time.
        longest_pause_seconds: The end of the doubling.
        token_seconds: For the identity service's answer. It is asked once, not again and again.
        token_rest_seconds: How long it is left alone after it gave no token.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    submit_seconds: float = 300.0
    # More than one silence of `read_seconds`: a connection that died unnoticed is not the end.
    total_seconds: float = 90.0
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 8.0
    token_seconds: float = 10.0
    token_rest_seconds: float = 5.0


RETRY_POLICY = RetryPolicy()

CONNECTING = RetryPolicy(read_seconds=20.0, total_seconds=15.0)
"""While the client finds out what there is: nothing is held or billed, and a URL may be wrong."""


def may_have_been_done(result: TryResult) -> bool:
    """
    Whether the service may have done what it has not confirmed.

    So it is with a 5xx, which may come from a gateway after the work, and with a reply that was
    lost; not where there never was a connection.
    """
    if isinstance(result, Response):
        return result.status_code in _SERVER_ERRORS
    # An answer that cannot be read says as little as one that did not come, or as many a 5xx that
    # the client has kept to itself.
    unread = (exceptions.ContentDecodingError, exceptions.JSONDecodeError, exceptions.RetryError)
    return isinstance(result, (*_LOST, *unread)) and not _never_sent(result)


def pause_before_repeat(
    method: str | None,
    result: TryResult,
    *,
    tries: int,
    elapsed_seconds: float,
    retry_policy: RetryPolicy,
    chance: float,
) -> float | None:
    """
    Return for how many seconds to wait before a request is sent again; None to leave it at that.

    Pauses double; `chance`, from 0 to 1, moves each by up to a half, so that those who failed
    together do not come back together. A `Retry-After` is waited for before that; one that asks for
    more than is left ends it at once.
    """
    if isinstance(result, Response):
        transient = result.status_code in TRANSIENT
        asked_seconds = _retry_after_seconds(result)
    else:
        transient = isinstance(result, _LOST) and not _is_distrust(result)
        asked_seconds = 0.0
    if not transient or (method not in IDEMPOTENT and may_have_been_done(result)):
        return None
    doubled = retry_policy.first_pause_seconds * 2.0 ** min(tries - 1, 16)
    pause = asked_seconds + min(retry_policy.longest_pause_seconds, doubled) * (0.5 + chance)
    return pause if elapsed_seconds + pause <= retry_policy.total_seconds else None


def _never_sent(error: exceptions.RequestException) -> bool:
    """Whether there was no connection to the service, or none that could be trusted."""
    return (
        isinstance(error, exceptions.ConnectTimeout | exceptions.ProxyError)
        or isinstance(_reason(error), NewConnectionError)
        or _is_distrust(error)
    )


def _is_distrust(error: exceptions.RequestException) -> bool:
    """Whether it is the service's certificate: that will be no better in a moment."""
    reason = _reason(error)
    return any(
        isinstance(cause, ssl.SSLCertVerificationError)
        for cause in (reason, *getattr(reason, "args", ()))
    )


def _reason(error: exceptions.RequestException) -> object:
    """Return what urllib3 says was wrong, which requests wraps once or twice."""
    wrapped = error.args[0] if error.args else None
    return getattr(wrapped, "reason", wrapped)


def _retry_after_seconds(response: Response) -> float:
    """Return what `Retry-After` asks for; 0 if it asks for nothing, or in no way we know."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        # By the service's own clock, not ours.
        said_at = parsedate_to_datetime(response.headers["Date"])
        seconds = (parsedate_to_datetime(asked) - said_at).total_seconds()
    except (KeyError, ValueError, TypeError):
        return 0.0
    return max(0.0, seconds)
