"""What others see of this room: frozen data, and Protocols of a session and an instance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from prefect_qsession.config.modes import Mode


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
class WorkloadDetails:
    """What the service says of one session, at the time it was asked; times are as it sent them."""

    session_id: str
    backend_name: str | None
    state: str
    """The service's word, for people: open, active, inactive or closed."""
    is_active: bool
    """Its time is billed."""
    is_closed: bool
    accepting_jobs: bool
    started_at: datetime | None
    usage_seconds: float | None
    """What is billed so far; None until the service has counted it."""


@dataclass(frozen=True)
class InstanceDetails:
    """What the service says of the instance that pays, at the time it was asked."""

    name: str
    plan: str | None
    """In lower case: open, pay-as-you-go, flex or premium; None if it is not told."""
    has_sessions: bool | None
    """Whether the plan has them; None if that is not known."""
    longest_batch_seconds: int | None
    """What the plan allows; None if as much as of a session."""
    consumed_seconds: float
    limit_seconds: float | None
    limit_reached: bool


class Workload(Protocol):
    """One session that the service has opened. Every method may raise a `ServiceError`."""

    @property
    def session_id(self) -> str:
        """The service's id of the session."""
        ...

    @property
    def mode(self) -> Mode:
        """How the jobs in it belong together."""
        ...

    def close(self) -> None:
        """Take no new jobs and let accepted ones finish; safe to repeat."""
        ...

    def cancel(self) -> None:
        """Take no new jobs and drop those that have not started; safe to repeat."""
        ...

    def details(self) -> WorkloadDetails:
        """Ask the service how the session stands."""
        ...


class RuntimeInstance(Protocol):
    """One instance of the service, asked for sessions that another process opened."""

    @property
    def instance_crn(self) -> str:
        """The instance that is asked."""
        ...

    def find(self, session_id: str) -> Workload | None:
        """Return a session; None if there is none of that id. May raise a `ServiceError`."""
        ...
