"""
Sessions and batches that another process opened, found again by their ids so that they can be
released.
"""

from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import Batch, QiskitRuntimeService, Session
from qiskit_ibm_runtime.exceptions import IBMInputValueError

from prefect_qsession.exceptions import ServiceError
from prefect_qsession.ibm.errors import translated
from prefect_qsession.ibm.workloads import TimedWorkload


class ServiceInstance:
    """One instance of the service, for those who release sessions that they have not opened."""

    def __init__(self, service: QiskitRuntimeService) -> None:
        self._service = service

    @property
    def instance_crn(self) -> str:
        """The instance that the service asks."""
        return str(self._service.active_instance())

    def find(self, session_id: str) -> TimedWorkload | None:
        """Return a session or batch of the instance; see `find_session`."""
        return find_session(self._service, session_id)


def find_session(service: QiskitRuntimeService, session_id: str) -> TimedWorkload | None:
    """
    Return a session or batch of the active instance by its id; None if the service knows none of
    that id.

    Raises:
        ServiceError: The service did not answer, or the client cannot hold this session: it is of
            an unknown kind, or its backend is no longer offered.
    """
    doing = f"find session {session_id}"
    with translated(doing, session_id):
        try:
            try:
                return TimedWorkload(Session.from_id(session_id, service))
            except IBMInputValueError as error:
                # The client says "not found" and "is a batch" by the same type; only the words
                # differ.
                if "not found" in str(error):
                    return None
            return TimedWorkload(Batch.from_id(session_id, service))
        except IBMInputValueError as error:
            raise ServiceError(f"Could not {doing}: {error.message}") from error
        except QiskitBackendNotFoundError as error:
            raise ServiceError(
                f"Could not {doing}: its backend is no longer offered to this instance."
            ) from error
