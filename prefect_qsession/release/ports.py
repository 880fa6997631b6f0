"""What the rules of releasing ask of the ledger, as a Protocol."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from prefect_qsession.release.records import LedgerEntry


@dataclass(frozen=True)
class FlowRunProgress:
    """How far a flow run is."""

    state_type: str | None
    """Prefect's word, as in RUNNING or COMPLETED; None before it has any state."""
    run_count: int
    """How many attempts have begun."""


class SessionLedger(Protocol):
    """Which sessions are open, for every process. Any method may raise `LedgerUnavailable`."""

    def record(self, entry: LedgerEntry) -> None:
        """Keep the entry, in the place of an earlier one of the same session; safe to repeat."""
        ...

    def beat(self, entry: LedgerEntry) -> bool:
        """Send a sign of life, unlike every earlier one; return False if the entry is gone."""
        ...

    def forget(self, session_id: str) -> None:
        """Drop the entry, if there is one."""
        ...

    def find(self, session_id: str) -> LedgerEntry | None:
        """Return the entry of one session."""
        ...

    def entries(self, flow_run_id: UUID | None = None) -> list[LedgerEntry]:
        """Return all entries, or those whose flow run, or root flow run, this is."""
        ...

    def flow_runs(self, flow_run_ids: Iterable[UUID]) -> Mapping[UUID, FlowRunProgress]:
        """Return how far these flow runs are; those that do not exist are left out."""
        ...
