"""
The errors the service answers with, in IBM's form.

Codes and words are those seen on the service or in its published registry (the errors reference of
IBM's documentation). Where the service's own code is not public, the code is `UNPUBLISHED` and the
row in `docs/emulator.md` says so.
"""

import json
import uuid
from collections.abc import Mapping
from types import MappingProxyType

MORE_INFO = "https://cloud.ibm.com/apidocs/quantum-computing#error-handling"
UNPUBLISHED = 1000


class ServiceError(Exception):
    """A request the service refuses: HTTP status, IBM's code, and what to do about it."""

    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, status: int, code: int, message: str, solution: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.solution = solution

    def body(self) -> str:
        """
        Write the error as the service does.

        Compact JSON: users find a code by searching the text for `"code":1217`.
        """
        error = {
            "code": self.code,
            "message": self.message,
            "solution": self.solution,
            "more_info": MORE_INFO,
        }
        return json.dumps({"errors": [error], "trace": str(uuid.uuid4())}, separators=(",", ":"))


def invalid_credentials() -> ServiceError:
    """Refuse a missing, expired or foreign token."""
    return ServiceError(
        401, 1201, "Invalid credentials.", "Check that your API key or token is valid."
    )


class KeyNeeded(ServiceError):
    """Refuse a look behind the scenes without a key; a browser asks its user for one."""

    headers = MappingProxyType({"WWW-Authenticate": 'Basic realm="emulator", charset="UTF-8"'})

    def __init__(self) -> None:
        super().__init__(
            401,
            UNPUBLISHED,
            "This emulator is open to the network: its own routes need a key.",
            "Send an API key of one of its instances; in a browser, as the password of any user.",
        )


def not_authorized() -> ServiceError:
    """Refuse a valid token that does not open the instance it names."""
    return ServiceError(
        403,
        1200,
        "You are not authorized to perform this action.",
        "Check that your API key has access to the service instance.",
    )


def instance_not_found(crn: str) -> ServiceError:
    """Refuse an instance the service does not have."""
    return ServiceError(
        404, 1279, f"Instance {crn} not found", "Check the CRN and the region of the instance."
    )


def sessions_not_in_open_plan() -> ServiceError:
    """Refuse a dedicated session on the Open plan."""
    return ServiceError(
        400,
        1352,
        "You are not authorized to run a session when using the open plan.",
        "Create an instance of a different plan type or use a different execution mode.",
    )


def session_closed() -> ServiceError:
    """Refuse a job for a session that takes no more."""
    return ServiceError(
        400,
        1217,
        "Session has been closed.",
        "Increase the session max_time if possible, or keep session active by reducing the time "
        "between jobs.",
    )


def usage_limit_reached() -> ServiceError:
    """Refuse work for an instance that has used all it may."""
    return ServiceError(
        409,
        UNPUBLISHED,
        "The instance has reached its usage limit.",
        "Raise the limit of the instance, or wait until its usage period has moved on.",
    )


def invalid_body(why: str) -> ServiceError:
    """Refuse a body that is not what the endpoint takes."""
    return ServiceError(
        400,
        1208,
        f"Request validation of body failed, because: {why}",
        "Check the request body against the API reference.",
    )


def invalid_query(why: str) -> ServiceError:
    """Refuse query parameters that are not what the endpoint takes."""
    return ServiceError(
        400,
        UNPUBLISHED,
        f"Request validation of query failed, because: {why}",
        "Check the query parameters against the API reference.",
    )


def too_many_submissions(limit: int) -> ServiceError:
    """Refuse a job that comes too soon after others."""
    return ServiceError(
        429,
        1202,
        f"Too many POST /jobs requests: limit is {limit} per minute.",
        "Wait before submitting more jobs.",
    )


def too_many_tags(limit: int) -> ServiceError:
    """Refuse more tags than a job may carry."""
    return ServiceError(400, 1204, f"Too many tags. The maximum is {limit}.", "Remove some tags.")


def tag_too_long(limit: int) -> ServiceError:
    """Refuse a tag longer than the service keeps."""
    return ServiceError(
        400, 1205, f"A tag is too long. The maximum is {limit} characters.", "Shorten the tag."
    )


def body_too_large(limit: int) -> ServiceError:
    """Refuse a body that is larger than the service reads."""
    return ServiceError(
        413,
        UNPUBLISHED,
        f"Request body is larger than {limit} bytes.",
        "Submit fewer or smaller circuits per job.",
    )


def backend_unavailable(name: str) -> ServiceError:
    """Refuse work for a device that is offline."""
    return ServiceError(
        400, 1004, f"Backend {name} is unavailable.", "Use another backend, or try again later."
    )


def backend_not_found(name: str) -> ServiceError:
    """Refuse work for a device the instance does not have."""
    return ServiceError(
        400, 1007, f"Backend {name} not found.", "Check the backend's name and your access to it."
    )


def program_not_found(program_id: str) -> ServiceError:
    """Refuse a program the service does not have."""
    return ServiceError(
        404, UNPUBLISHED, f"Program not found. Program ID: {program_id}", "Check the program ID."
    )


def job_not_found(job_id: str) -> ServiceError:
    """Say that the instance has no such job."""
    return ServiceError(
        404,
        UNPUBLISHED,
        f"Job not found. Job ID: {job_id}",
        "Check that the job ID is correct, that you have access to the job, and try again.",
    )


def session_not_found(session_id: str) -> ServiceError:
    """Say that the instance has no such session."""
    return ServiceError(
        404,
        UNPUBLISHED,
        f"Session not found. Session ID: {session_id}",
        "Check that the session ID is correct, that you have access to it, and try again.",
    )


def job_in_wrong_state(job_id: str, what: str) -> ServiceError:
    """Refuse what a job's state does not allow."""
    return ServiceError(
        409, UNPUBLISHED, f"Job {job_id} cannot be {what} in its state.", "Check the job's status."
    )


def route_not_found() -> ServiceError:
    """Say that there is no such endpoint."""
    return ServiceError(404, UNPUBLISHED, "Not found.", "Check the path of the request.")


def method_not_allowed() -> ServiceError:
    """Say that the endpoint does not take the method."""
    return ServiceError(405, UNPUBLISHED, "Method not allowed.", "Check the method of the request.")


def internal_error() -> ServiceError:
    """Say that the emulator has a bug. The traceback goes to its log, not to the client."""
    return ServiceError(500, UNPUBLISHED, "Internal server error.", "Try again later.")
