"""When a request is sent again and when it is in doubt, over every method and every outcome."""

import ssl

import pytest
import urllib3
from requests import Response, exceptions

from prefect_qsession.ibm.retry_policy import (
    IDEMPOTENT,
    RetryPolicy,
    may_have_been_done,
    pause_before_repeat,
)

PATIENCE = RetryPolicy(total_seconds=90, first_pause_seconds=1, longest_pause_seconds=8)
METHODS = sorted(IDEMPOTENT | {"POST"})
NO_POOL = None


def answer(status: int, **headers: str) -> Response:
    """Return an answer of this status."""
    response = Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def wrapped(error: Exception) -> urllib3.exceptions.MaxRetryError:
    """Return what urllib3 makes of an error that it does not repeat."""
    return urllib3.exceptions.MaxRetryError(NO_POOL, "/jobs", error)


BUSY = answer(503)
UNTRUSTED = urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))
TORN = urllib3.exceptions.SSLError(ssl.SSLEOFError("unexpected end"))

# Each outcome, whether it may pass, and whether the service may have done the work.
OUTCOMES = [
    *((answer(status), True, True) for status in (500, 502, 503, 504, *range(520, 525))),
    *((answer(status), False, True) for status in (501, 505, 525, 599)),
    *((answer(status), False, False) for status in (200, 204, 400, 401, 403, 404, 408, 409, 413)),
    (answer(429), True, False),
    (
        exceptions.ConnectionError(
            wrapped(urllib3.exceptions.NewConnectionError(NO_POOL, "refused"))
        ),
        True,
        False,
    ),
    (exceptions.ConnectTimeout(), True, False),
    (exceptions.ProxyError(), True, False),
    (exceptions.SSLError(wrapped(UNTRUSTED)), False, False),
    (exceptions.SSLError(wrapped(TORN)), True, True),
    (exceptions.ConnectionError(urllib3.exceptions.ProtocolError("aborted")), True, True),
    (exceptions.ConnectionError(), True, True),
    (exceptions.ReadTimeout(), True, True),
    (exceptions.ChunkedEncodingError(), True, True),
    (exceptions.ContentDecodingError(), False, True),
    (exceptions.JSONDecodeError("no JSON", "<html>", 0), False, True),
    (exceptions.InvalidURL(), False, False),
]


def pause(method="GET", outcome=BUSY, tries=1, elapsed=0.0, chance=0.5) -> float | None:
    """Return the pause, in the middle of its range, after a first try that failed."""
    return pause_before_repeat(
        method,
        outcome,
        tries=tries,
        elapsed_seconds=elapsed,
        retry_policy=PATIENCE,
        chance=chance,
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("outcome", "passes", "done"), OUTCOMES, ids=lambda value: repr(value)[:40]
)
def test_what_may_pass_is_repeated_where_doing_it_twice_does_no_harm(method, outcome, passes, done):
    """A POST is repeated only if it certainly was not done; the others whenever it may help."""
    assert done == may_have_been_done(outcome)
    assert (passes and (method != "POST" or not done)) == (pause(method, outcome) is not None)


def test_pauses_double_up_to_the_longest():
    """Each is twice the one before."""
    assert [1, 2, 4, 8, 8, 8] == [pause(tries=tries) for tries in range(1, 7)]
    assert 8 == pause(tries=10_000)


def test_chance_moves_a_pause_by_half():
    """Those who failed together come back apart."""
    assert (0.5, 1.5) == (pause(chance=0.0), pause(chance=1.0))


def test_no_repeat_begins_when_the_patience_is_over():
    """The end is exact."""
    assert 1 == pause(elapsed=89)
    assert None is pause(elapsed=89.001)


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({}, 0),
        ({"Retry_After": "0"}, 0),
        ({"Retry_After": " 7 "}, 7),
        ({"Retry_After": "soon"}, 0),
        ({"Retry_After": "-3"}, 0),
        ({"Retry_After": "nan"}, 0),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": DATE}, 30),
        ({"Retry_After": "Wed, 21 Oct 2026 07:27:00 GMT", "Date": DATE}, 0),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:30 -0000", "Date": DATE}, 0),
    ],
)
def test_retry_after_is_waited_for(headers, asked):
    """Seconds, or a date by the service's own clock; what cannot be read asks for nothing."""
    assert asked + 1 == pause(outcome=answer(429, **headers))


def test_a_retry_after_that_is_longer_than_the_patience_ends_it_at_once():
    """Coming back too early would be as bad as not at all."""
    assert 90 == pause(outcome=answer(503, Retry_After="89"))
    assert None is pause(outcome=answer(503, Retry_After="90"))
