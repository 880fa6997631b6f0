"""Frozen data that passes between the layers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


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
