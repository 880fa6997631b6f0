"""
When to ask a job how it stands: when that is worth a request, not on a fixed beat.

Pure: the time is passed in. The client by itself asks on a beat, at once and then every
100 ms in a session, so that a QPU whose job is over waits for half a beat on average. What is here
asks when the time that would be lost by not asking has grown to what a question is worth. So it
asks seldom while the job cannot be over yet, by all that the session's jobs have taken so far, and
often around the expected end; a job that is queued, the less often the longer it has been there.
Whatever is expected: a job is never found later than the client finds it by more than the client's
own beat.
"""

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

QUESTION_SECONDS = 0.004
"""What a question is worth: it is asked when about so much time would be lost by not asking."""

SESSION_BEAT_SECONDS = 0.1
JOB_MODE_BEAT_SECONDS = 0.5
"""The client's own pauses (`RuntimeJobV2.wait_for_final_state`)."""

REMEMBERED = 16
"""Jobs of one kind; older ones are forgotten, so that the next ones may be another length."""

KINDS = 64
"""Kinds of jobs that are told apart; the one that came up first is forgotten first."""

SPREAD = 0.05
"""A job is expected to take up to this fraction less or more than one before it."""

QUEUED_FRACTION = 0.2
"""Of the time that a job has been queued: so long it is left alone again, up to the client's beat.
Nobody knows when it begins, and many may wait in the same queue for an hour."""

_PRECISION_SECONDS = 0.0005


def beat_seconds(*, is_in_session: bool) -> float:
    """Return how long the client lies between two questions for a job."""
    return SESSION_BEAT_SECONDS if is_in_session else JOB_MODE_BEAT_SECONDS


@dataclass(frozen=True)
class Span:
    """What one job took, or may take, from its start to its end: between so and so many seconds."""

    shortest: float
    longest: float

    def widened(self, factor: float) -> "Span":
        """Return it with room on both sides."""
        return Span(self.shortest / factor, self.longest * factor + _PRECISION_SECONDS)

    def left(self, elapsed: float) -> float:
        """Return the chance that the job is not over, if any time in the span is as likely."""
        begin = max(self.shortest, elapsed)
        return max(self.longest - begin, 0.0) / (self.longest - self.shortest)

    def lost(self, elapsed: float, asked_at: float) -> float:
        """Return the seconds lost on average if it is not asked from `elapsed` to `asked_at`."""
        begin, end = max(self.shortest, elapsed), min(self.longest, asked_at)
        if end <= begin:
            return 0.0
        squares = (asked_at - begin) ** 2 - (asked_at - end) ** 2
        return squares / 2 / (self.longest - self.shortest)


def worthwhile(spans: Sequence[Span], elapsed: float, latest: float) -> float:
    """
    Return when a question is worth asking, in seconds from the job's start.

    Args:
        spans: What the job may take, each as likely as the other; at least one.
        elapsed: When the job was not over.
        latest: When to ask whatever is expected.
    """
    if not any(span.longest > elapsed for span in spans):
        # Longer than ever: the longer it is overdue, the longer it may be.
        longest = max(span.longest for span in spans)
        spans = [Span(elapsed, elapsed + max(longest / 10, 10 * (elapsed - longest)))]
    chance = sum(span.left(elapsed) for span in spans)

    def is_worth(asked_at: float) -> bool:
        lost = sum(span.lost(elapsed, asked_at) for span in spans)
        return lost >= QUESTION_SECONDS * chance

    early, late = elapsed, max(latest, elapsed)
    if not is_worth(late):
        return late
    while late - early > _PRECISION_SECONDS:
        middle = (early + late) / 2
        early, late = (early, middle) if is_worth(middle) else (middle, late)
    return late


class Waiting:
    """
    Know what the jobs of one flow run have taken, and how many wait; every method is thread-safe.

    Args:
        questions_per_second: How often all its jobs together may be asked, at the most.
    """

    def __init__(self, questions_per_second: float) -> None:
        self._pause = 1 / questions_per_second
        self._lock = Lock()
        self._taken: dict[Hashable, deque[Span]] = {}
        self._latest: deque[Span] = deque(maxlen=REMEMBERED)
        self._number = 0
        self._asked_at = float("-inf")
        self._request_seconds = float("inf")

    @contextmanager
    def job(
        self,
        kind: Hashable,
        *,
        estimate_seconds: float,
        beat_seconds: float,
        submitted_at: float | None,
        now: float,
    ) -> Iterator["JobWait"]:
        """
        Give what knows when to ask one job, for as long as it is waited for.

        Args:
            kind: The same for jobs that take about the same time.
            estimate_seconds: What it may take, as long as there is nothing better to go by.
            beat_seconds: How long the client would lie between two questions.
            submitted_at: When it was submitted; None if that is not known.
            now: The time.
        """
        with self._lock:
            self._number += 1
        try:
            yield JobWait(self, kind, estimate_seconds, beat_seconds, submitted_at, now)
        finally:
            with self._lock:
                self._number -= 1

    @property
    def number(self) -> int:
        """How many jobs are waited for now."""
        with self._lock:
            return self._number

    def spans(self, kind: Hashable, estimate_seconds: float) -> list[Span]:
        """Return what a job of this kind may take, going by the best that is known."""
        with self._lock:
            if taken := self._taken.get(kind):
                return [span.widened(1 + SPREAD) for span in taken]
            if self._latest:
                return [span.widened(2) for span in self._latest]
        return [Span(0.0, 2 * estimate_seconds + _PRECISION_SECONDS)]

    def over(self, kind: Hashable, span: Span) -> None:
        """Take note of what a job has taken."""
        with self._lock:
            if kind not in self._taken and len(self._taken) == KINDS:
                del self._taken[next(iter(self._taken))]
            self._taken.setdefault(kind, deque(maxlen=REMEMBERED)).append(span)
            self._latest.append(span)

    def asked(self, sent_at: float, answered_at: float) -> float:
        """Take note of a question; return how long one takes at the least."""
        with self._lock:
            self._asked_at = max(self._asked_at, sent_at)
            self._request_seconds = min(self._request_seconds, answered_at - sent_at)
            return self._request_seconds

    def earliest(self, own_asked_at: float | None) -> float:
        """Return when a job that was last asked then may be asked again."""
        with self._lock:
            last = self._asked_at if own_asked_at is None else own_asked_at
            return last + self._pause * max(self._number, 1)

    @property
    def request_seconds(self) -> float:
        """How long a question takes at the least; 0 if none has been asked."""
        with self._lock:
            return 0.0 if self._request_seconds == float("inf") else self._request_seconds


class JobWait:
    """When to ask one job; for one thread. Times are of one clock that never jumps."""

    def __init__(
        self,
        waiting: Waiting,
        kind: Hashable,
        estimate_seconds: float,
        beat_seconds: float,
        submitted_at: float | None,
        now: float,
    ) -> None:
        self._waiting = waiting
        self._kind = kind
        self._estimate_seconds = estimate_seconds
        self._beat_seconds = beat_seconds
        self._submitted_at = now if submitted_at is None else submitted_at
        # What a job took that may have been over for long says nothing.
        self._tells = submitted_at is not None and now - submitted_at <= beat_seconds
        self._began_by = self._submitted_at
        """When it may have begun at the earliest."""
        self._has_begun_by: float | None = None
        """When it had begun for certain, if it was seen to wait before."""
        self._asked_at: float | None = None
        self._is_queued = False
        self._is_known = submitted_at is not None

    def next_question(self, now: float) -> float:
        """Return when to ask next; that may be in the past."""
        asked_at = self._asked_at
        if asked_at is None and not self._is_known:
            return max(now, self._waiting.earliest(None))
        last = self._submitted_at if asked_at is None else asked_at
        spans = self._waiting.spans(self._kind, self._estimate_seconds)
        began, elapsed = self._began_by, max(last - self._began_by, 0.0)
        may_be_over = any(span.shortest <= elapsed < span.longest for span in spans)
        latest = self._latest_after(asked_at, beats=1 if may_be_over else 2)
        wanted = began + worthwhile(spans, elapsed, latest - began)
        if self._is_queued:
            patience = min(QUEUED_FRACTION * (last - self._submitted_at), self._beat_seconds)
            wanted = max(wanted, last + patience)
        return max(wanted, self._waiting.earliest(asked_at))

    def asked(self, sent_at: float, answered_at: float, *, is_queued: bool, is_over: bool) -> None:
        """Take note of a question, when it was sent and answered, and of how the job stands."""
        self._waiting.asked(sent_at, answered_at)
        if is_over:
            self._tell(sent_at)
        elif is_queued:
            self._began_by = max(sent_at, self._began_by)
            self._has_begun_by = None
        elif self._has_begun_by is None and self._began_by > self._submitted_at:
            self._has_begun_by = sent_at
        self._asked_at = sent_at
        self._is_queued = is_queued

    def _latest_after(self, asked_at: float | None, beats: int) -> float:
        """
        Return when to ask at the latest: by the client's next question, or the one after that.

        The client asks at once, and then once a beat. It finds a job that ends after `asked_at` by
        its next question, or later, so that the one after that is later by one beat at the most.
        """
        beat = self._beat_seconds + self._waiting.request_seconds
        if asked_at is None:
            return self._submitted_at + beat
        asked = int((asked_at - self._submitted_at) / beat + 1e-9)
        return self._submitted_at + (asked + beats) * beat

    def _tell(self, over_at: float) -> None:
        last = self._asked_at
        if not self._tells and last is None:
            return
        has_begun_by = self._began_by if self._has_begun_by is None else self._has_begun_by
        shortest = 0.0 if last is None else max(last - has_begun_by, 0.0)
        longest = max(over_at - self._began_by, shortest) + _PRECISION_SECONDS
        self._waiting.over(self._kind, Span(shortest, longest))
