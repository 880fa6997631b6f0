"""One open session of the service, behind the port that the policies know."""

from datetime import datetime

from qiskit_ibm_runtime import Session

from prefect_qsession.gateway.errors import translated
from prefect_qsession.records import SessionDetails


class GatewaySession:
    """A session that the service has opened; every method translates the client's errors."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def client_session(self) -> Session:
        """The client's own object, for those who want it bare."""
        return self._session

    @property
    def session_id(self) -> str:
        """The service's id of the session."""
        return str(self._session.session_id)

    def close(self) -> None:
        """
        Take no new jobs and let accepted ones finish; safe to repeat.

        Raises:
            ServiceError: The service did not confirm.
        """
        with translated(f"close session {self.session_id}", self.session_id):
            self._session.close()

    def cancel(self) -> None:
        """
        Take no new jobs and drop those that have not started; safe to repeat.

        Raises:
            ServiceError: The service did not confirm.
        """
        with translated(f"cancel session {self.session_id}", self.session_id):
            self._session.cancel()

    def details(self) -> SessionDetails:
        """
        Ask the service how the session stands.

        Raises:
            ServiceError: It did not answer.
        """
        with translated(f"read session {self.session_id}", self.session_id):
            details = self._session.details() or {}
        return SessionDetails(
            session_id=self.session_id,
            backend_name=details.get("backend_name"),
            state=details.get("state", "unknown"),
            accepting_jobs=bool(details.get("accepting_jobs")),
            max_time_seconds=details.get("max_time"),
            started_at=_time(details.get("started_at")),
            closed_at=_time(details.get("closed_at")),
            usage_seconds=details.get("usage_time"),
        )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
