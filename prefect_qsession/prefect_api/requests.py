"""A request as plain data, for a process that is without Prefect."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HttpRequest:
    """One request, ready to be sent; its headers may be secret."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str | None = None


OCCURRED = "{occurred}"
"""Stands in what the guardian tells for the time at which it has released a session."""
