"""What a flow run asks for, and how it was answered."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from prefect_qsession.jobs.reattachment import JobIdentity

if TYPE_CHECKING:
    from qiskit_ibm_runtime import RuntimeJobV2

    from prefect_qsession.ibm.primitives import ClientPrimitive


@dataclass(frozen=True)
class Request:
    """What a flow run asks for, and all it takes to ask again."""

    identity: JobIdentity
    primitive: "ClientPrimitive"
    arguments: Any
    executions: int
    """Shots over all PUBs and parameter sets, about."""
    kind: Hashable
    """The same for requests whose jobs take about the same time."""
    members: int = 1
    """How many requests it is, together."""


@dataclass
class JobAccount:
    """What the requests have in common that one job answers; thread-safe."""

    identity: JobIdentity
    """Of all of them as one."""
    members: int
    _lock: Lock = field(default_factory=Lock, repr=False)
    _is_settled: bool = False
    _gave_up: int = 0

    def settle(self) -> bool:
        """Return whether this is the first call: a job is accounted for once."""
        with self._lock:
            first, self._is_settled = not self._is_settled, True
            return first

    def give_up(self) -> bool:
        """Note that one more wants no result; return whether it was the last, so none does."""
        with self._lock:
            self._gave_up += 1
            return self._gave_up == self.members


@dataclass
class Submission:
    """How a request was answered."""

    job: "RuntimeJobV2"
    account: JobAccount
    """What it has in common with the other requests that the job answers, if there are any."""
    is_new: bool
    """Whether it is this attempt that has submitted the job."""
    is_doubtful: bool = False
    """Whether the job may have a twin: a submission before it was not answered."""
    submitted_at: float | None = None
    """When the service accepted the job, on the monotonic clock; None if that is not known."""
    is_in_session: bool = True
    was_seen_running: bool = False
    position: int | None = None
    """Which of the job's PUBs it is, if the job answers other requests as well."""
