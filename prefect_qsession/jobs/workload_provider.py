"""What jobs go into: the flow run's session, as its own process or another one has it."""

from typing import TYPE_CHECKING, Any, Protocol

from prefect_qsession.budget.spending import Spending
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.jobs.activity import Activity
from prefect_qsession.jobs.waiting import Waiting
from prefect_qsession.reporting.run_events import RunEvent

if TYPE_CHECKING:
    from logging import Logger, LoggerAdapter

    from qiskit_ibm_runtime import IBMBackend


class WorkloadProvider(Protocol):
    """Have a session for jobs; every method is thread-safe."""

    policy: ResolvedPolicy
    spending: Spending
    activity: Activity
    waits: Waiting

    @property
    def logger(self) -> "Logger | LoggerAdapter[Any]":
        """The flow run's own logger."""
        ...

    def emit(self, event: RunEvent) -> None:
        """Emit an event of the flow run here and now; returns at once, never raises."""
        ...

    def backend(self) -> "IBMBackend":
        """Return the backend; this opens no session."""
        ...

    def acquire(self) -> Any:
        """Return the open session, opening it, or having it opened, if there is none."""
        ...

    def holds(self, session: Any) -> bool:
        """Whether this session is open, and the one that jobs go into."""
        ...

    def give_up(self, session: Any, reason: str) -> None:
        """Note that the service has ended this session; the next `acquire` returns another."""
        ...

    def has_ended(self, session_id: str | None) -> bool:
        """Whether this session takes no more jobs, while the flow run goes on."""
        ...
