"""What is known of an open session outside its process, as frozen data; and who keeps it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from prefect_qsession.ibm.records import ServiceAccess
from prefect_qsession.prefect_api.requests import HttpRequest
from prefect_qsession.states import Release


@dataclass(frozen=True)
class Ward:
    """One session that the guardian watches over, and what it does when the flow's process dies."""

    session_id: str
    access: ServiceAccess
    outcome: Release = Release.CANCEL
    forget: HttpRequest | None = None
    """Removes the session from the ledger; sent once the service has confirmed."""
    tell: Mapping[Release, HttpRequest] = field(default_factory=dict)
    """Tells the Prefect API of the release, by its outcome; `OCCURRED` stands for the time."""


class Liveness(StrEnum):
    """Whether a process is there, as far as this process can know."""

    ALIVE = "alive"
    """It is there, running, stopped or asleep."""
    GONE = "gone"
    """It has ended, for certain: nothing it could still do."""
    UNKNOWN = "unknown"
    """It lived on another machine or in another container, which cannot be seen from here."""


@dataclass(frozen=True)
class ProcessIdentity:
    """One process, told apart from every other that ever had its pid."""

    host: str
    """Name of the machine, for people."""
    pid: int
    boot_id: str | None = None
    """This boot of the machine's kernel; None where the system does not tell."""
    pid_namespace: str | None = None
    """Processes see each other's pids only inside one namespace (container)."""
    start_ticks: int | None = None
    """When it started, on the kernel's clock, which no clock change moves."""


@dataclass(frozen=True)
class LedgerEntry:
    """One open session, as the ledger keeps it for every process that can reach the Prefect API."""

    session_id: str
    backend_name: str
    instance_crn: str
    credentials: str | None
    """Name of the saved block; None for credentials that were never saved: only the flow's own
    process and its guardian can release such a session."""
    flow_run_id: UUID
    """The flow run whose end is the session's end."""
    flow_run_name: str
    root_flow_run_id: UUID
    """The flow run at the top, which Prefect's runner or worker started; often the same."""
    attempt: int
    """Which attempt of the flow run opened it: its `run_count`."""
    process: ProcessIdentity
    opened_at: datetime
    max_time_seconds: int
    beat: int = 0
    """Counts the heartbeats; whoever looks twice sees whether the flow's process lives, without
    comparing any clocks."""
    heartbeat_at: datetime | None = None
    """When the Prefect API last heard of it, by the API's clock."""

    @property
    def deadline(self) -> datetime:
        """When the service ends it, had its first job started at once; a queue makes it later."""
        return self.opened_at + timedelta(seconds=self.max_time_seconds)


@dataclass(frozen=True)
class FlowRunProgress:
    """How far a flow run is."""

    state_type: str | None
    """Prefect's word, as in RUNNING or COMPLETED; None before it has any state."""
    run_count: int
    """How many attempts have begun."""


class Ledger(Protocol):
    """Which sessions are open, as who releases them asks; all may raise `LedgerUnavailable`."""

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
