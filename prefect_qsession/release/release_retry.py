"""Requests that are repeated until the service has confirmed them, or it has been long enough."""

from collections.abc import Callable
from itertools import chain, repeat
from threading import Event, Lock

from prefect_qsession.prefect_api.threads import start_thread

PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each request of a release; the last one goes on."""


LEAST_SECONDS = 0.5
"""For which one who comes when the time is up waits: the service may answer again."""

RESTED_SECONDS = 60.0
"""After which a release is waited for anew: whoever asks is not the end of the flow run before."""


class Patience:
    """
    Share the time that is waited for the release of one session among all who ask for it.

    The body's end, the monitor and the task runner's exit do, one right after the other.
    Thread-safe.

    Args:
        seconds: How long all of them wait, together.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left = seconds
        self._waited_at: float | None = None
        self._is_told = False
        self._lock = Lock()

    def left(self, now: float) -> float:
        """Return how long to wait at the most."""
        with self._lock:
            if self._waited_at is not None and now - self._waited_at > RESTED_SECONDS:
                self._left = self._seconds
            return max(self._left, min(LEAST_SECONDS, self._seconds))

    def waited(self, since: float, now: float) -> None:
        """Take note that somebody has waited from then until now."""
        with self._lock:
            self._left = max(self._left - (now - since), 0.0)
            self._waited_at = now

    def tell_once(self) -> bool:
        """Return whether this is the first call: that a session is left open is told once."""
        with self._lock:
            first, self._is_told = not self._is_told, True
            return first


class ReleaseRetry:
    """
    One persistent release, in a thread of its own.

    The Runtime client sets no time limit on an answer: a service that accepts a connection and then
    says nothing would hold the flow's process, and its session, for ever.

    Args:
        release: Asks once, and returns whether it was this call that released.
    """

    def __init__(self, release: Callable[[], bool]) -> None:
        self.released = False
        self.failure: object | None = None
        """What stands in the way of the release; None once there is nothing left to release."""
        self._release = release
        self._done = Event()
        self._enough = Event()

    def run(self, seconds: float) -> None:
        """Return when the session is released, or cannot be, or after so many seconds."""
        self.failure = f"no answer for {seconds:g} s."
        start_thread(self._keep_asking, "qsession-release")
        self._done.wait(seconds)
        self._enough.set()

    def _keep_asking(self) -> None:
        for pause in chain(PAUSES, repeat(PAUSES[-1])):
            if self._enough.wait(pause):
                break
            try:
                self.released = self._release()
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not hide the end
                self.failure = error
                if not getattr(error, "retryable", False):
                    break
            else:
                self.failure = None
                break
        self._done.set()
