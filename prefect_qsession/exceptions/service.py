"""What the Runtime service, or the way to it, did."""

from prefect_qsession.exceptions.base import QSessionError


class ServiceError(QSessionError):
    """
    The Runtime service refused or failed a request, or could not be reached.

    `status_code` is the HTTP status, None where it is not known; `code` is IBM's error code, None
    where the reply had none; `retryable` tells whether the same request may succeed later, and
    `doubtful` that the service may have done it all the same: look before repeating it.
    `session_id` is the session concerned, None where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: int | None = None,
        retryable: bool = False,
        doubtful: bool = False,
        session_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.retryable = retryable
        self.doubtful = doubtful
        self.session_id = session_id


class Unauthorized(ServiceError):
    """The service does not accept the API key, or the key may not do this."""


class SessionRefused(ServiceError):
    """
    The service would not open a session: the plan, a limit or the backend does not allow it.

    `by_plan` tells whether it is for what the plan allows, which another mode need not meet. An
    outage, a bad key or a used-up allowance would meet it as well, or hide there what has to be
    mended.
    """

    by_plan: bool = False


class ServiceUnavailable(ServiceError):
    """The service could not be reached, or failed inside."""
