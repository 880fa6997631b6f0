"""Translate what the Runtime client raises into errors of ours, keeping the service's own words."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMNotAuthorizedError, IBMRuntimeError
from requests.exceptions import RequestException

from prefect_qsession.exceptions import (
    ServiceError,
    ServiceUnavailable,
    SessionLost,
    SessionRefused,
    Unauthorized,
)

SESSION_CLOSED_CODES = frozenset({1217, 4001})
"""IBM's codes for a job that came after its session had ended (docs: errors reference)."""

_UNAUTHORIZED = frozenset({401, 403})
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 524})


@contextmanager
def translated(doing: str, session_id: str | None = None) -> Iterator[None]:
    """
    Run the body; raise what the client raises in it as an error of ours, with the original as its
    cause.

    Args:
        doing: What is being done, to begin the message with: "open a session on ibm_torino".
        session_id: The session concerned, if there is one.

    Raises:
        Unauthorized: The service does not accept the key.
        SessionLost: The service has ended `session_id`.
        ServiceUnavailable: It could not be reached, or failed inside.
        ServiceError: It refused for any other reason.
    """
    try:
        yield
    except IBMNotAuthorizedError as error:
        raise Unauthorized(
            f"Could not {doing}: the service does not accept the API key. "
            "Check it in the credentials block; it may have been revoked.",
            status_code=401,
        ) from error
    except (RequestsApiError, IBMRuntimeError) as error:
        raise _service_error(error, doing, session_id) from error
    except RequestException as error:
        raise ServiceUnavailable(
            f"Could not {doing}: the service cannot be reached ({type(error).__name__}). "
            "Check the network, proxies and URLs in the credentials block.",
            retryable=True,
        ) from error


@contextmanager
def refused_as_session_refused() -> Iterator[None]:
    """Name a refusal to open a session what it is; outages and bad keys keep their own names."""
    try:
        yield
    except (Unauthorized, ServiceUnavailable):
        raise
    except ServiceError as error:
        raise SessionRefused(
            str(error), status_code=error.status_code, code=error.code, retryable=error.retryable
        ) from error.__cause__


def _service_error(
    error: Exception, doing: str, session_id: str | None
) -> ServiceError | SessionLost:
    detail = _first_error(str(error))
    code = detail.get("code")
    status_code = _status_code(error)
    reason = " ".join(str(detail[key]) for key in ("message", "solution") if detail.get(key))
    reason = reason or str(error).strip("'\"")
    if code in SESSION_CLOSED_CODES and session_id is not None:
        return SessionLost(session_id, f"{reason} (code {code})")
    code_note = f" (code {code})" if code is not None else ""
    # The client reports -1 when it gave up without, or after repeating, an answer.
    out_of_reach = status_code is None and isinstance(error, RequestsApiError)
    retryable = out_of_reach or status_code in _RETRYABLE
    if status_code in _UNAUTHORIZED:
        kind: type[ServiceError] = Unauthorized
    elif retryable:
        kind = ServiceUnavailable
    else:
        kind = ServiceError
    return kind(
        f"Could not {doing}: {reason}{code_note}",
        status_code=status_code,
        code=code,
        retryable=retryable,
    )


def _status_code(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    if status is None:
        # IBMRuntimeError drops the status and keeps only the text of the error it wraps.
        found = re.search(r"\b([45]\d\d) (?:Client|Server) Error", str(error))
        status = int(found[1]) if found else None
    return None if status == -1 else status


def _first_error(text: str) -> dict[str, Any]:
    """Return the first of IBM's `errors[]` in a message that ends with the raw reply."""
    start = text.find('{"errors"')
    if start < 0:
        return {}
    try:
        body, _ = json.JSONDecoder().raw_decode(text[start:])
        first = body["errors"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return {}
    return first if isinstance(first, dict) else {}
