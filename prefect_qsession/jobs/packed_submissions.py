"""
Requests of tasks that run side by side, submitted together as one job.

Each gets its own result out of it. A pack that is refused, or fails, costs nobody but the one whose
PUB it is: every member then goes by itself.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from threading import Event, Lock

from prefect_qsession.exceptions import QSessionError, ServiceError
from prefect_qsession.jobs.job_requests import Request, SharedJob, Submission
from prefect_qsession.jobs.packing import MOST_EXECUTIONS, Pack, Packs, identity_of, most_members


@dataclass
class _PackMember:
    """A request in a pack, and how it is answered."""

    request: Request
    full: Event
    """Set when the pack takes no more."""
    answered: Event
    """Set when the pack is submitted, or is not to be."""
    outcome: list[Submission | ServiceError] = field(default_factory=list)
    """The submission of the pack, or the error that leaves open whether there is one."""


class PackedSubmissions:
    """
    Submit requests in packs; every method is thread-safe, and blocks until the pack is submitted.

    Args:
        window_seconds: How long the first request of a pack waits for others.
        submit: Submits one request by itself; a pack is one.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        window_seconds: float,
        submit: Callable[[Request], Submission],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._submit = submit
        self._clock = clock
        self._packs: Packs[_PackMember] = Packs(window_seconds)
        self._lock = Lock()

    def submit(self, request: Request) -> Submission:
        """Submit a request, with others of its kind if there are any; raises as it does alone."""
        kind, most = _kind(request), most_members(len(request.primitive.job_tags))
        if kind is None or most < 2 or request.executions > MOST_EXECUTIONS:  # noqa: PLR2004 - itself
            return self._submit(request)
        me = _PackMember(request, Event(), Event())
        with self._lock:
            pack, leads = self._packs.put(kind, me, request.executions, most, self._clock())
            first = pack.items[0]
            position = len(pack.items) - 1
            if pack.is_closed:
                first.full.set()
        if leads:
            self._lead(kind, pack, me)
        else:
            first.answered.wait()
        if not first.outcome:
            return self._submit(request)
        [outcome] = first.outcome
        if isinstance(outcome, ServiceError):
            raise outcome
        return replace(outcome, position=position)

    def _lead(self, kind: Hashable, pack: Pack[_PackMember], me: _PackMember) -> None:
        """Wait until the window is over, and submit the pack; those who wait are always freed."""
        try:
            # It closes later each time that another comes.
            while (left := pack.closes_at - self._clock()) > 0 and not me.full.wait(left):
                pass
            self._packs.close(kind, pack)
            if len(pack.items) > 1:
                me.outcome.append(self._submit_pack([one.request for one in pack.items]))
        except QSessionError as error:
            # Refused as a whole: each learns by itself what is wrong with its own, if anything is.
            # But what may be running already is not to be submitted again.
            if isinstance(error, ServiceError) and error.doubtful:
                me.outcome.append(error)
        finally:
            self._packs.close(kind, pack)
            me.answered.set()

    def _submit_pack(self, requests: list[Request]) -> Submission:
        from prefect_qsession.ibm.circuits import each_circuit_seen_once  # noqa: PLC0415 - slow to import

        first = requests[0]
        together = Request(
            identity=identity_of([request.identity for request in requests]),
            primitive=first.primitive,
            arguments=[pub for request in requests for pub in request.arguments],
            executions=sum(request.executions for request in requests),
            kind=("pack", *(request.kind for request in requests)),
        )
        # Looked at again: of what others ask for, this thread may know how it was before.
        with each_circuit_seen_once():
            submission = self._submit(together)
        return replace(submission, shared=SharedJob(together, len(requests)))


def _kind(request: Request) -> Hashable | None:
    """Return what requests must have in common to go together; None if this one goes alone."""
    from prefect_qsession.ibm.fingerprints import fingerprint  # noqa: PLC0415 - slow to import

    primitive, pubs = request.primitive, request.arguments
    if not isinstance(pubs, list) or len(pubs) != 1:
        return None
    options = primitive.options
    accuracy = getattr(pubs[0], "precision", None) or getattr(pubs[0], "shots", None)
    limits = (tuple(primitive.job_tags), getattr(options, "max_execution_time", None))
    return (primitive.program, fingerprint(primitive.program, [], options), accuracy, str(limits))
