"""What a flow run has under way, and since when there is nothing. Pure: the time is passed in."""

from collections.abc import Callable, Collection
from threading import Lock

Settle = Callable[[Collection[str]], object]
"""Accounts for a job if it is over; called with the ids of the flow run's jobs that are not."""


class Activity:
    """Know which requests have a job that is not accounted for; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: dict[str, Settle | None] = {}
        self._quiet_since: float | None = None

    def submitted(self, request: str, settle: Settle | None = None) -> None:
        """
        Note a request whose result is not known.

        Args:
            request: Its name.
            settle: Looks after its job, whose result may never be asked for; none as long as it is
                being submitted.
        """
        with self._lock:
            self._under_way[request] = settle
            self._quiet_since = None

    def over(self, request: str, now: float, settle: Settle | None = None) -> bool:
        """
        Note that the result of a request, or that it has none, is known; return whether it was not.

        Args:
            request: Its name.
            now: The time.
            settle: Only if this still looks after its job; whatever does, if left out.
        """
        with self._lock:
            if settle is not None and self._under_way.get(request) is not settle:
                return False
            was_under_way = request in self._under_way
            self._under_way.pop(request, None)
            if not self._under_way:
                self._quiet_since = now
            return was_under_way

    def unsettled(self) -> list[Settle]:
        """Return what looks after each job that is not accounted for."""
        with self._lock:
            return [settle for settle in self._under_way.values() if settle is not None]

    def idle_seconds(self, now: float) -> float:
        """Return how long there has been no job; 0 while there is one, or has never been any."""
        with self._lock:
            return 0.0 if self._quiet_since is None else now - self._quiet_since
