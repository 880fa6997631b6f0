"""Translate what the Runtime client raises into errors of ours, keeping the service's own words."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qiskit_ibm_runtime.exceptions import (
    IBMAccountError,
    IBMBackendError,
    IBMError,
    IBMInputValueError,
)
from requests import Response
from requests.exceptions import JSONDecodeError, RequestException

from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import (
    ServiceError,
    ServiceUnavailable,
    SessionLost,
    SessionRefused,
    Unauthorized,
    restored,
)
from prefect_qsession.ibm.codes import PLAN_CODES, SESSION_CLOSED_CODES
from prefect_qsession.ibm.retry_policy import TRANSIENT, may_have_been_done

_BAD_KEY = 401
_UNAUTHORIZED = frozenset({_BAD_KEY, 403})
_RETRYABLE = TRANSIENT | {408, 425}
_LONGEST_TEXT = 300


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
    handled_before = sys.exception()
    try:
        yield
    except (IBMAccountError, IBMBackendError, IBMInputValueError):
        # Of what was asked for, not of the asking.
        raise
    except IBMError as error:
        failed = _failed_request(error, handled_before)
        if failed is not None:
            raise _service_error(failed, doing, session_id) from error
        raise ServiceError(f"Could not {doing}: {error.message}", session_id=session_id) from error
    except RequestException as error:
        raise _service_error(error, doing, session_id) from error


@contextmanager
def refused_as_session_refused(mode: Mode) -> Iterator[None]:
    """Name a refusal to open a session what it is; outages and bad keys keep their own names."""
    try:
        yield
    except (Unauthorized, ServiceUnavailable):
        raise
    except ServiceError as error:
        refused = restored(SessionRefused, error.args, vars(error))
        refused.by_plan = error.code in PLAN_CODES.get(mode, ())
        raise refused from error.__cause__


def _failed_request(
    error: BaseException | None, handled_before: BaseException | None
) -> RequestException | None:
    """
    Return the failure of HTTP that the client's error was made of, if it was.

    The client drops the status in most of its errors, and raises some `from None`; but Python keeps
    what was being handled. What was handled before, by whoever called, is not of this request.
    """
    while error is not None and error is not handled_before:
        if isinstance(error, RequestException):
            return error
        error = error.__cause__ or error.__context__
    return None


def _service_error(
    failed: RequestException, doing: str, session_id: str | None
) -> ServiceError | SessionLost:
    response = failed.response
    status_code = None if response is None else response.status_code
    code, reason = _unanswered(failed) if response is None else _answer(response)
    if code in SESSION_CLOSED_CODES and session_id is not None:
        return SessionLost(session_id, f"{reason} (code {code})")
    if status_code in _UNAUTHORIZED:
        kind: type[ServiceError] = Unauthorized
    elif status_code is None or status_code in _RETRYABLE:
        kind = ServiceUnavailable
    else:
        kind = ServiceError
    doubtful = _is_doubtful(failed)
    code_note = f" (code {code})" if code is not None else ""
    doubt_note = " It may have been done all the same: look before you repeat it."
    return kind(
        f"Could not {doing}: {reason}{code_note}{doubt_note if doubtful else ''}",
        status_code=status_code,
        code=code,
        retryable=kind is ServiceUnavailable,
        doubtful=doubtful,
        session_id=session_id,
    )


def _is_doubtful(failed: RequestException) -> bool:
    # The client reads JSON from what it takes for a success, and loses sight of the request.
    method = getattr(failed.request, "method", None)
    is_creation = method == "POST" or isinstance(failed, JSONDecodeError)
    return is_creation and may_have_been_done(
        failed if failed.response is None else failed.response
    )


def _unanswered(failed: RequestException) -> tuple[None, str]:
    name = type(failed).__name__
    if may_have_been_done(failed):
        return None, f"the service's answer did not arrive, or cannot be read ({name})."
    return None, (
        f"the service cannot be reached ({name}). Check the network, proxies and URLs in the "
        "credentials block."
    )


def _answer(response: Response) -> tuple[int | None, str]:
    """Return IBM's code and words, or what is there instead of them."""
    if response.status_code == _BAD_KEY:
        advice = "the service does not accept the API key. Check it in the credentials block; "
        return _first_error(response).get("code"), advice + "it may have been revoked."
    detail = _first_error(response)
    words = " ".join(str(detail[key]) for key in ("message", "solution") if detail.get(key))
    if not words:
        text = response.text.strip()[:_LONGEST_TEXT]
        words = f"the service answered {response.status_code} {response.reason}. {text}".strip()
    return detail.get("code"), words


def _first_error(response: Response) -> dict[str, Any]:
    """Return the first of IBM's `errors[]`; nothing if the body is not of that form."""
    try:
        first = json.loads(response.text)["errors"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return {}
    return first if isinstance(first, dict) else {}
