"""
The guardian, as the flow's process sees it: what it guards, and that there always is a sidecar.

One for each process, however many sessions; there is a sidecar only while something is guarded. It
knows neither Prefect nor asyncio, and may be called from any thread.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from threading import Lock, Thread

from prefect_qsession.exceptions import GuardianUnavailable
from prefect_qsession.release.guardian import messages
from prefect_qsession.release.guardian.process import SidecarProcess
from prefect_qsession.release.records import Ward
from prefect_qsession.states import Release

ANSWER_SECONDS = 3.0
"""For an answer of a sidecar that runs."""
START_SECONDS = 7.0
"""For a sidecar that must be started first, on a machine that may be busy."""
RESTARTS = 5
RESTARTS_WITHIN_SECONDS = 60.0

# Below Prefect's own logger, whose handlers show it; nothing of Prefect is needed for that.
_logger = logging.getLogger("prefect.qsession.guardian")


class Guardian:
    """
    Have sessions released, even when this process dies without a word; every method is thread-safe.

    When this process has ended, by whatever cause, the sidecar releases what is still guarded and
    ends. When only the sidecar has ended, another takes its place.

    Args:
        clock: Tells the time, in seconds, that waiting and restarts are bounded by.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin()

    @property
    def pid(self) -> int | None:
        """The sidecar's process id; None while nothing is guarded."""
        sidecar = self._sidecar
        return sidecar.pid if sidecar else None

    def guard(self, ward: Ward) -> None:
        """
        Guard a session; when this returns, the sidecar knows all it needs to release it.

        Guarding it again replaces what was known. It stays with the guardian until it is
        discharged, also after an error: then the next sidecar that starts guards it too.

        Raises:
            GuardianUnavailable: No sidecar could be started, or none has answered in time.
        """
        message = messages.guard(ward)
        with self._lock:
            self._wards[ward.session_id] = ward
            if not self._tell(message):
                self._start()

    def change(self, session_id: str, outcome: Release) -> None:
        """
        Have a guarded session released in another way; one that is not guarded is left alone.

        Never raises: a sidecar that does not answer is replaced by one that knows.
        """
        with self._lock:
            if ward := self._wards.get(session_id):
                self._wards[session_id] = replace(ward, outcome=outcome)
                self._tell(messages.change(session_id, outcome))

    def discharge(self, session_id: str) -> None:
        """
        Guard a session no longer: it has been released. Safe to repeat; never raises.

        The sidecar ends with its last ward. One that does not answer is ended.
        """
        with self._lock:
            if self._wards.pop(session_id, None):
                self._tell(messages.discharge(session_id))

    def start_afresh(self) -> None:
        """In a forked child: guard nothing. What is guarded, and by whom, is the parent's."""
        if self._sidecar:
            self._sidecar.disown()
        self._begin()

    def _begin(self) -> None:
        # In a child the lock is a new one: a thread of the parent may have held it at the fork.
        self._lock = Lock()
        self._wards: dict[str, Ward] = {}
        self._sidecar: SidecarProcess | None = None
        self._replaced_at: deque[float] = deque(maxlen=RESTARTS)

    def _tell(self, message: messages.Message) -> bool:
        """Return whether there is a sidecar that has done as told; one that has not is ended."""
        try:
            self._tell_or_raise(message, self._clock() + ANSWER_SECONDS)
        except GuardianUnavailable:
            return False
        return True

    def _tell_or_raise(self, message: messages.Message, until: float) -> None:
        sidecar = self._sidecar
        if sidecar is None:
            raise GuardianUnavailable("there is none.")
        try:
            guarded = sidecar.tell(message, until)
        except BaseException:
            # Also when interrupted, by Ctrl-C: nobody knows what it guards now. Its end brings
            # another one, which is told everything.
            sidecar.kill()
            raise
        if guarded == 0:
            # It ends by itself.
            self._sidecar = None

    def _start(self) -> None:
        """Start a sidecar and have it guard all there is, or raise `GuardianUnavailable`."""
        until = self._clock() + START_SECONDS
        self._sidecar = None
        self._sidecar = SidecarProcess(self._clock)
        Thread(
            target=self._watch, args=(self._sidecar,), name="qsession-guardian", daemon=True
        ).start()
        for ward in self._wards.values():
            self._tell_or_raise(messages.guard(ward), until)

    def _watch(self, sidecar: SidecarProcess) -> None:
        """Wait for the end of a sidecar, and replace it if it was needed."""
        sidecar.wait()
        with self._lock:
            sidecar.close()
            if sidecar is self._sidecar:
                self._sidecar = None
                if self._wards:
                    self._replace()

    def _replace(self) -> None:
        now = self._clock()
        if not may_replace(self._replaced_at, now):
            _logger.error(
                "The guardian was gone again and again, and is not replaced. If this process is "
                "killed, these sessions stay open until the reaper finds them: %s",
                ", ".join(self._wards),
            )
            return
        self._replaced_at.append(now)
        try:
            self._start()
        except GuardianUnavailable as error:
            _logger.error("%s Sessions: %s", error, ", ".join(self._wards))  # noqa: TRY400
        else:
            _logger.warning("The guardian was gone; started another, process %d.", self.pid)


def may_replace(replaced_at: deque[float], now: float) -> bool:
    """Return whether a lost sidecar is replaced, given when the last ones were."""
    recent = [at for at in replaced_at if at > now - RESTARTS_WITHIN_SECONDS]
    return len(recent) < RESTARTS


_of_this_process = Guardian()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_of_this_process.start_afresh)


def guardian() -> Guardian:
    """Return the one guardian of this process; in a forked child, a fresh one."""
    return _of_this_process
