"""
Which job answers a request of a flow run: one that it has submitted before, or a new one.

Pure. A request is known by what it asks and by its place in the flow run, and both are
carried in its job's tags: so the service itself keeps the record, written by the very request that
submits the job.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Self
from uuid import UUID

from prefect_qsession.ibm.codes import Standing

_RUN = "qsession-run:"
_REQUEST = "qsession-request:"

OWN_TAGS = 2
"""Tags of ours on every job, of the eight that the service allows."""

MAX_TAGS = 8
"""As the service has it (API reference, POST /jobs)."""


def run_tag(flow_run_id: UUID) -> str:
    """Return the tag that all jobs of a flow run carry."""
    return f"{_RUN}{flow_run_id}"


@dataclass(frozen=True)
class JobIdentity:
    """What is asked, and where: the same in every attempt of a flow run that does the same."""

    flow_run_id: UUID
    """The flow run that the session belongs to."""
    fingerprint: str
    """Of the content of the request, in hexadecimal digits."""
    ordinal: int
    """Counts the equal requests of one attempt, or of one place, from 1."""
    place: str = ""
    """Where in the flow run the task was submitted that ran in another process; "" for the rest."""

    @property
    def request(self) -> str:
        """What is asked, and its number among equal requests; the same in whichever flow run."""
        place = f"@{self.place}" if self.place else ""
        return f"{self.fingerprint}:{self.ordinal}{place}"

    @property
    def tags(self) -> list[str]:
        """The tags that its job carries."""
        return [run_tag(self.flow_run_id), f"{_REQUEST}{self.request}"]

    @classmethod
    def from_tags(cls, tags: Iterable[str]) -> Self | None:
        """Read it back from a job's tags; None if it was not submitted by us."""
        found = {
            prefix: tag.removeprefix(prefix)
            for tag in tags
            for prefix in (_RUN, _REQUEST)
            if tag.startswith(prefix)
        }
        try:
            fingerprint, number = found[_REQUEST].split(":")
            ordinal, _, place = number.partition("@")
            return cls(UUID(found[_RUN]), fingerprint, int(ordinal), place)
        except (KeyError, ValueError):
            return None


EnclosingRuns = tuple[tuple[Hashable, int], ...]
"""The runs that a request comes from, tasks inside tasks, each with the number of its attempt."""


class Ordinals:
    """
    Number the equal requests of one attempt of a flow run; thread-safe.

    A task that is retried asks again what it has asked before, and gets the numbers it had. Which
    thread gets which number depends on who comes first; equal requests are equally served by each
    other's jobs.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._claims: dict[tuple[str, Hashable], list[EnclosingRuns]] = {}

    def claim(self, fingerprint: str, runs: EnclosingRuns, within: Hashable = None) -> int:
        """
        Return the number of this request among its equals.

        Args:
            fingerprint: What is asked.
            runs: Who asks.
            within: Equal requests are counted within this, each anew.
        """
        with self._lock:
            claims = self._claims.setdefault((fingerprint, within), [])
            for index, claimed in enumerate(claims):
                if _is_retried(claimed, runs):
                    claims[index] = runs
                    return index + 1
            claims.append(runs)
            return len(claims)


def _is_retried(earlier: EnclosingRuns, now: EnclosingRuns) -> bool:
    """Whether a run that both come from has failed and begun anew in between."""
    attempts = dict(earlier)
    return any(attempt > attempts.get(run, attempt) for run, attempt in now)


class ReattachAction(StrEnum):
    """How a request is answered."""

    FETCH = "fetch the result"
    WAIT = "wait for the job"
    RAISE = "raise its error"
    SUBMIT = "submit a new job"


ACTIONS: dict[Standing, ReattachAction] = {
    Standing.DONE: ReattachAction.FETCH,
    Standing.RUNNING: ReattachAction.WAIT,
    Standing.QUEUED: ReattachAction.WAIT,
    Standing.FAILED: ReattachAction.RAISE,
    Standing.FAILED_IN_PASSING: ReattachAction.SUBMIT,
    Standing.CANCELLED: ReattachAction.SUBMIT,
}
"""Best first: of several jobs of one request, the one whose status comes first here answers."""


def best_of(statuses: Iterable[Standing]) -> int | None:
    """Return the position of the one that answers a request; None if a new job has to."""
    preference = list(ACTIONS)
    answering = [
        (preference.index(status), position)
        for position, status in enumerate(statuses)
        if ACTIONS[status] is not ReattachAction.SUBMIT
    ]
    return min(answering)[1] if answering else None
