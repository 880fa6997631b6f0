"""Frozen data that passes between the layers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from prefect_qsession.config.modes import Mode
from prefect_qsession.states import Outcome

TAG = "qsession"
"""On every flow run that has opened a session, and on every entry of the ledger."""


@dataclass(frozen=True)
class RuntimeAccount:
    """Who asks, and where the Runtime service is; the URLs are None where IBM's own apply."""

    api_key: str = field(repr=False)
    instance: str
    """The CRN or the name of a service instance."""
    channel: str
    runtime_url: str | None = None
    """Base URL of the Runtime API, used as it stands."""
    auth_url: str | None = None
    search_url: str | None = None
    catalog_url: str | None = None
    proxies: Mapping[str, Any] | None = field(default=None, repr=False)
    verify: bool = True


LEAST_BUSY = "least_busy"
"""In the place of a backend's name: `LeastBusy()`."""


@dataclass(frozen=True)
class LeastBusy:
    """
    Choose, when the flow run first needs one, the online backend with the shortest queue.

    Args:
        min_num_qubits: Leave out backends with fewer qubits.
        filters: Leave out backends for which this returns False; it is given an `IBMBackend`.
        attributes: Leave out backends whose configuration or status differs, as in
            `{"dynamic_circuits": True}`.
    """

    min_num_qubits: int | None = None
    filters: Callable[[Any], bool] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Say what is asked for, in words that fit an error message."""
        wanted = ["the least busy backend"]
        if self.min_num_qubits is not None:
            wanted.append(f"of at least {self.min_num_qubits} qubits")
        wanted += [f"with {name} = {value!r}" for name, value in self.attributes.items()]
        if self.filters is not None:
            wanted.append(f"that passes {getattr(self.filters, '__name__', 'the filter')}")
        return " ".join(wanted)


@dataclass(frozen=True)
class SessionDetails:
    """What the service says of one session, at the time it was asked; times are as it sent them."""

    session_id: str
    backend_name: str | None
    state: str
    """The service's word: open, active, inactive or closed."""
    accepting_jobs: bool
    max_time_seconds: int | None
    started_at: datetime | None
    closed_at: datetime | None
    usage_seconds: float | None
    """What is billed so far; None until the service has counted it."""


@dataclass(frozen=True)
class InstanceDetails:
    """What the service says of the instance that pays, at the time it was asked."""

    crn: str
    name: str
    plan: str | None
    """In lower case: open, pay-as-you-go, flex or premium; None if it is not told."""
    consumed_seconds: float
    limit_seconds: float | None
    limit_reached: bool


@dataclass(frozen=True)
class ServiceAccess:
    """What it takes to end a session without the Runtime client: plain addresses and the key."""

    api_key: str = field(repr=False)
    instance_crn: str
    runtime_url: str
    """Base URL of the Runtime API, as the client resolved it."""
    auth_url: str
    """Root of the identity service."""
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    """URL of the proxy by scheme."""
    verify: bool = True


@dataclass(frozen=True)
class HttpRequest:
    """One request, ready to be sent; its headers may be secret."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str | None = None


OCCURRED = "{occurred}"
"""Stands in what the guardian tells for the time at which it has released a session."""


@dataclass(frozen=True)
class Ward:
    """One session that the guardian watches over, and what it does when the flow's process dies."""

    session_id: str
    access: ServiceAccess
    outcome: Outcome = Outcome.CANCEL
    forget: HttpRequest | None = None
    """Removes the session from the ledger; sent once the service has confirmed."""
    tell: Mapping[Outcome, HttpRequest] = field(default_factory=dict)
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
class ResolvedPolicy:
    """How the session of a flow run is opened, held and let go; durations in seconds."""

    max_time_seconds: int
    """The service ends the session this long after its first job started."""
    mode: Mode
    fallback: tuple[Mode, ...]
    """What `Mode.AUTO` tries after a session, in this order."""
    qpu_budget_seconds: int | None
    """What all jobs of the flow run together may be charged; None for no cap."""
    session_budget_seconds: int | None
    """What all sessions of the flow run together may be billed; None for no cap."""
    idle_release_seconds: int | None
    """The session is released when it has had no job for this long; None for never."""
    reattaches: bool
    """A later attempt takes up the jobs of earlier ones."""
    reopenings: int
    """How often a session that the service ended is opened anew."""
    packing_window_seconds: float | None
    """Requests of one PUB that come within this time go together as one job; None for never."""
    concurrency_limit: str | None
    """Name of the Prefect global concurrency limit that an open session takes a slot of."""
    keep_for_retry_seconds: float
    """Kept for the flow run's next attempt if that begins within this time, else closed."""
    release_within_seconds: float
    """How long a release that fails is repeated before it is left to the guardian or the reaper."""
    long_queue_seconds: float
    """Who waits longer than this in the queue is told of."""
    questions_per_second: float
    """How often all its jobs together are asked how they stand, at the most."""
    monitor_every_seconds: float
    """How often the flow run's state is read, to notice a cancellation from outside."""
    heartbeat_every_seconds: float
    require_ledger: bool
    """Refuse to use a session that cannot be recorded."""
