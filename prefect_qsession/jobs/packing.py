"""
Which requests travel together as one job, and where in it each of them is.

Pure. What is asked for within a short window, alike in all but its PUB, goes into one pack.
A pack's job carries a mark of each member in its tags: so an attempt that packs in another way, or
not at all, still finds what each request was answered by.
"""

import base64
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from threading import Lock
from typing import Generic, TypeVar

from prefect_qsession.jobs.reattachment import MAX_TAGS, JobIdentity, run_tag

T = TypeVar("T")

_PACK = "qsession-p"

MARK_BYTES = 6
"""Of a hash: two of a thousand requests of a flow run have the same mark in one of 10^8 runs."""

MARKS_PER_TAG = 9
"""As many as 86 characters hold."""

MOST_WINDOWS = 20
"""How long a pack may grow."""

MOST_EXECUTIONS = 10_000_000
"""Of one job, as the service has it (docs: job-limits)."""


def mark_of(request: str) -> bytes:
    """Return the mark of a request, as a pack's job carries it."""
    return blake2b(request.encode(), digest_size=MARK_BYTES).digest()


def marks_of(tags: Iterable[str]) -> list[bytes]:
    """Return the marks of a pack's members, in the order of their PUBs; none if it is no pack."""
    found = sorted(tag.removeprefix(_PACK) for tag in tags if tag.startswith(_PACK))
    try:
        marks = b"".join(base64.urlsafe_b64decode(text.partition(":")[2]) for text in found)
    except ValueError:
        return []
    return [marks[start : start + MARK_BYTES] for start in range(0, len(marks), MARK_BYTES)]


def position_of(tags: Iterable[str], request: str) -> int | None:
    """Return where a request is in the pack of a job; None if it is no member."""
    marks, mark = marks_of(tags), mark_of(request)
    return marks.index(mark) if mark in marks else None


def most_members(other_tags: int) -> int:
    """Return how many requests a pack may have, whose job has so many tags of the user's."""
    return MARKS_PER_TAG * max(MAX_TAGS - 1 - other_tags, 0)


@dataclass(frozen=True)
class PackIdentity(JobIdentity):
    """The identity of a pack: that of its members, in their order."""

    members: tuple[str, ...] = ()

    @property
    def request(self) -> str:
        """What is asked by all of them."""
        return f"pack:{blake2b(' '.join(self.members).encode(), digest_size=16).hexdigest()}"

    @property
    def tags(self) -> list[str]:
        """The tags that its job carries."""
        marks = [mark_of(member) for member in self.members]
        starts = range(0, len(marks), MARKS_PER_TAG)
        return [run_tag(self.flow_run_id)] + [
            f"{_PACK}{number}:{_text(marks[start : start + MARKS_PER_TAG])}"
            for number, start in enumerate(starts)
        ]


def identity_of(members: Sequence[JobIdentity]) -> PackIdentity:
    """Return the identity of the pack of these members."""
    first = members[0]
    return PackIdentity(
        first.flow_run_id, "", 1, members=tuple(member.request for member in members)
    )


@dataclass
class Pack(Generic[T]):
    """What goes together."""

    closes_at: float
    """Unless more comes before."""
    latest: float
    """When it closes whatever comes."""
    items: list[T] = field(default_factory=list)
    executions: int = 0
    is_closed: bool = False


class Packs(Generic[T]):
    """
    Group what is asked for; thread-safe.

    Args:
        window_seconds: A pack takes what comes within this time of its last, for `MOST_WINDOWS`
            such times at the most: Prefect takes some milliseconds to start each task of a map.
    """

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._lock = Lock()
        self._open: dict[Hashable, Pack[T]] = {}

    def put(
        self, kind: Hashable, item: T, executions: int, most: int, now: float
    ) -> tuple[Pack[T], bool]:
        """
        Put something into the open pack of its kind, or into a new one; return it, and whether
        this was its first: whoever put that sees to it that the pack is closed and submitted.

        Args:
            kind: Only what is of one kind goes together.
            item: What is asked for.
            executions: Shots over its PUB.
            most: How many a pack of this kind holds.
            now: The time.
        """
        with self._lock:
            pack = self._open.get(kind)
            if pack is None or now >= pack.closes_at or not _fits(pack, executions):
                pack = self._open[kind] = Pack(now, now + MOST_WINDOWS * self._window_seconds)
            pack.closes_at = min(now + self._window_seconds, pack.latest)
            pack.items.append(item)
            pack.executions += executions
            if len(pack.items) >= most:
                self._close(kind, pack)
            return pack, len(pack.items) == 1

    def close(self, kind: Hashable, pack: Pack[T]) -> None:
        """Take no more into a pack; safe to repeat."""
        with self._lock:
            self._close(kind, pack)

    def _close(self, kind: Hashable, pack: Pack[T]) -> None:
        pack.is_closed = True
        if self._open.get(kind) is pack:
            del self._open[kind]


def _fits(pack: Pack[T], executions: int) -> bool:
    return pack.executions + executions <= MOST_EXECUTIONS


def _text(marks: Sequence[bytes]) -> str:
    return base64.urlsafe_b64encode(b"".join(marks)).decode()
