"""Requests that are repeated until the service has confirmed them, or it has been long enough."""

from collections.abc import Callable
from itertools import chain, repeat
from threading import Event

from prefect_qsession.prefect_api.threads import start_thread

PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each request of a release; the last one goes on."""


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
