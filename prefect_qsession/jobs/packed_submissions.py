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
from prefect_qsession.jobs.job_requests import Request, Submission
from prefect_qsession.jobs.packing import MOST_EXECUTIONS, Pack, Packs, identity_of, most_members
from prefect_qsession.prefect_api.threads import running_loop


@dataclass(eq=False)
class _PackMember:
    """A request in a pack; the first one has what all of them share."""

    request: Request
    is_gone: bool = False
    """Whether it was cut off: if the pack had not gone by then, it goes without."""
    pack: "Pack[_PackMember] | None" = None
    full: Event = field(default_factory=Event)
    """Set when the pack takes no more."""
    closed: Event = field(default_factory=Event)
    """Set when nobody waits for others any more."""
    deciding: Lock = field(default_factory=Lock)
    sent: "list[_PackMember] | None" = None
    """Those that go together, once that is decided."""
    is_decided: bool = False
    outcome: Submission | ServiceError | None = None
    """The pack's, or the error that leaves open whether there is one; None if each goes alone."""


class PackedSubmissions:
    """
    Submit requests in packs; every method is thread-safe, and blocks until the pack is submitted.

    On an event loop nothing waits for others: those could not come meanwhile.

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
        self._left: dict[str, _PackMember] = {}
        """Those who were cut off, by what they asked for."""

    def submit(self, request: Request) -> Submission:
        """Submit a request, with others of its kind if there are any; raises as it does alone."""
        kind, most = _kind(request), most_members(len(request.primitive.job_tags))
        if (
            kind is None
            or most < 2  # noqa: PLR2004 - itself
            or request.executions > MOST_EXECUTIONS
            or running_loop() is not None
        ):
            return self._submit(request)
        # Asked for before, by a thread that was cut off: perhaps in a pack that went all the same.
        left = self._left.pop(request.identity.request, None)
        if left is not None and (answer := self._answer_to(left)) is not None:
            return answer
        me = _PackMember(request)
        try:
            return self._submit_with_others(kind, most, me)
        except QSessionError:
            raise
        except BaseException:
            me.is_gone = True
            self._left[request.identity.request] = me
            # Nobody waits for one who is gone.
            me.closed.set()
            raise

    def _submit_with_others(self, kind: Hashable, most: int, me: _PackMember) -> Submission:
        with self._lock:
            pack, leads = self._packs.put(kind, me, me.request.executions, most, self._clock())
            first = pack.items[0]
            me.pack = pack
            if pack.is_closed:
                first.full.set()
        if leads:
            self._collect(kind, pack, me)
        else:
            first.closed.wait()
        outcome = self._decide(pack, first)
        if outcome is None or first.sent is None or me not in first.sent:
            return self._submit(me.request)
        if isinstance(outcome, ServiceError):
            raise outcome
        return replace(outcome, position=first.sent.index(me))

    def _answer_to(self, left: _PackMember) -> Submission | None:
        """Return what the pack has for one who was cut off; None if it went without, or not."""
        if left.pack is None:
            return None
        first = left.pack.items[0]
        if first.sent is None or left not in first.sent:
            return None
        outcome = self._decide(left.pack, first)
        if not isinstance(outcome, Submission):
            return None
        return replace(outcome, position=first.sent.index(left))

    def _collect(self, kind: Hashable, pack: Pack[_PackMember], first: _PackMember) -> None:
        """Wait until the window is over; those who wait are always freed."""
        try:
            # It closes later each time that another comes.
            while (left := pack.closes_at - self._clock()) > 0 and not first.full.wait(left):
                pass
        finally:
            self._packs.close(kind, pack)
            first.closed.set()

    def _decide(
        self, pack: Pack[_PackMember], first: _PackMember
    ) -> Submission | ServiceError | None:
        """
        Submit the pack, or return what has come of it.

        One member does it. If that one is cut off in the middle, by its task's timeout say, the
        next goes on with the very same pack: whether its job is there is known by its identity.
        """
        with first.deciding:
            if not first.is_decided:
                if first.sent is None:
                    first.sent = [one for one in pack.items if not one.is_gone]
                first.outcome = self._outcome_of([one.request for one in first.sent])
                first.is_decided = True
            return first.outcome

    def _outcome_of(self, requests: list[Request]) -> Submission | ServiceError | None:
        if len(requests) < 2:  # noqa: PLR2004 - itself
            return None
        try:
            return self._submit_pack(requests)
        except QSessionError as error:
            # Refused as a whole: each learns by itself what is wrong with its own, if anything is.
            # But what may be running already is not to be submitted again.
            return error if isinstance(error, ServiceError) and error.doubtful else None

    def _submit_pack(self, requests: list[Request]) -> Submission:
        from prefect_qsession.ibm.circuits import each_circuit_seen_once  # noqa: PLC0415 - slow to import

        first = requests[0]
        together = Request(
            identity=identity_of([request.identity for request in requests]),
            primitive=first.primitive,
            arguments=[pub for request in requests for pub in request.arguments],
            executions=sum(request.executions for request in requests),
            kind=("pack", *(request.kind for request in requests)),
            members=len(requests),
        )
        # Looked at again: of what others ask for, this thread may know how it was before.
        with each_circuit_seen_once():
            return self._submit(together)


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
