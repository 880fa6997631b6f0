"""What the policies need from the outside world, as Protocols; the adapters provide it."""

from typing import Protocol

from prefect_qsession.records import SessionDetails


class RuntimeSession(Protocol):
    """One session that the service has opened. Every method may raise a `ServiceError`."""

    @property
    def session_id(self) -> str:
        """The service's id of the session."""
        ...

    def close(self) -> None:
        """Take no new jobs and let accepted ones finish; safe to repeat."""
        ...

    def cancel(self) -> None:
        """Take no new jobs and drop those that have not started; safe to repeat."""
        ...

    def details(self) -> SessionDetails:
        """Ask the service how the session stands."""
        ...
