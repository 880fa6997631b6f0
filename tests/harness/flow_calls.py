"""What is called, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FlowCall:
    """
    A call of one of the flows.

    Args:
        flow: A name in `flows`.
        parameters: What it is told.
        how: A name in `calls.CALLS`; a deployment has but one way.
        environment: What a script has beside the environment of its place.
        timeout_seconds: A time limit for a script's flow beside its own.
    """

    flow: str
    parameters: Mapping[str, Any]
    how: str = "directly"
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float | None = None
