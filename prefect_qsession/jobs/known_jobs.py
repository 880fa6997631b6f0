"""The jobs that a flow run is known to have, in this attempt and in those before it."""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_qsession.jobs.packing import PackIdentity, mark_of, marks_of
from prefect_qsession.jobs.reattachment import JobIdentity, run_tag

if TYPE_CHECKING:
    from qiskit_ibm_runtime import RuntimeJobV2


class KnownJobs:
    """
    Know the jobs of one flow run by their requests; every method is thread-safe.

    A first attempt knows what it has submitted, and asks nothing. A later one reads what the
    service has, once, when it first needs it.

    Args:
        earlier_runs: Returns the ids of the flow runs whose jobs may answer; none for a first
            attempt.
        find: Asks the service for the jobs that carry certain tags, oldest first.
        on_read: Told of the jobs of earlier attempts, when they have been read.
    """

    def __init__(
        self,
        earlier_runs: Callable[[], Iterable[UUID]],
        find: "Callable[[Iterable[str]], list[RuntimeJobV2]]",
        on_read: "Callable[[list[RuntimeJobV2]], None]",
    ) -> None:
        self._earlier_runs = earlier_runs
        self._find = find
        self._on_read = on_read
        self._lock = Lock()
        self._reading = Lock()
        self._is_read = False
        self._jobs: dict[str, list[RuntimeJobV2]] = {}
        self._packs: dict[bytes, list[RuntimeJobV2]] = {}
        """By the marks of their members."""
        self._doubtful: set[str] = set()
        self._earlier: frozenset[str] = frozenset()
        self._unasked: set[str] = set()

    def of(self, identity: JobIdentity) -> "list[RuntimeJobV2]":
        """
        Return the jobs of a request, which is asked for by this.

        Raises:
            ServiceError: The service did not tell.
        """
        self._read()
        with self._lock:
            self._unasked.discard(identity.request)
            known = list(self._jobs.get(identity.request, ()))
            # A job of its own goes before one that it shared: that is not to be cancelled as a
            # duplicate, because it answers others.
            known = known or self._packs.get(mark_of(identity.request), [])[-1:]
        return [*known, *self.find_new(identity)] if self.is_doubtful(identity) else known

    def add(self, identity: JobIdentity, job: "RuntimeJobV2") -> None:
        """Note the job of a request; safe to repeat."""
        with self._lock:
            known = self._jobs.setdefault(identity.request, [])
            if any(job.job_id() == other.job_id() for other in known):
                return
            known.append(job)
            # Of a pack: a member whose thread was cut off asks for its own, when it is retried.
            for member in identity.members if isinstance(identity, PackIdentity) else ():
                self._packs.setdefault(mark_of(member), []).append(job)

    def doubt(self, identity: JobIdentity) -> None:
        """Note that a request may have a job that nobody has seen: it is looked for from now on."""
        with self._lock:
            self._doubtful.add(identity.request)

    def is_doubtful(self, identity: JobIdentity) -> bool:
        """Whether the request may have a job that nobody has seen."""
        with self._lock:
            return identity.request in self._doubtful

    def find_new(self, identity: JobIdentity) -> "list[RuntimeJobV2]":
        """
        Ask the service for jobs of a request that are not known yet.

        Raises:
            ServiceError: The service did not tell.
        """
        with self._lock:
            known = {job.job_id() for job in self._jobs.get(identity.request, ())}
        return [job for job in self._find(identity.tags) if job.job_id() not in known]

    def unasked_beside(self, identity: JobIdentity) -> int:
        """
        Return how many requests of earlier attempts this one has not made, once it has made one
        that none of them did; 0 before that, and from the second time on.
        """
        with self._lock:
            if identity.request in self._earlier:
                return 0
            count = len(self._unasked)
            self._unasked.clear()
            return count

    def _read(self) -> None:
        if self._is_read:
            return
        with self._reading:
            if self._is_read:
                return
            if runs := list(self._earlier_runs()):
                found = [job for run in runs for job in self._find([run_tag(run)])]
                for job in found:
                    if identity := JobIdentity.from_tags(job.tags or ()):
                        self.add(identity, job)
                    for mark in marks_of(job.tags or ()):
                        self._packs.setdefault(mark, []).append(job)
                self._earlier = frozenset(self._jobs)
                self._unasked = set(self._earlier)
                self._on_read(found)
            # Last: if the service did not answer, the next request tries again.
            self._is_read = True
