"""
The events of a flow run on their way: into the log at once, and from a thread of its own to Prefect
and into the session report.

Its thread works while the flow waits for the QPU. Nothing that it does can fail the flow, and an
API that is away costs the flow nothing but the moment that its end waits for the last update.
"""

import atexit
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import NamedTuple
from weakref import WeakSet

from prefect.logging.loggers import get_logger

from prefect_qsession.exceptions import QSessionError
from prefect_qsession.prefect_api.owners import Owner
from prefect_qsession.prefect_api.threads import start_thread
from prefect_qsession.reporting.log_lines import line_of
from prefect_qsession.reporting.prefect_events import EventSubject, announce
from prefect_qsession.reporting.reporter import Reporter
from prefect_qsession.reporting.run_events import (
    JobSubmittedEvent,
    OpenedEvent,
    OpeningEvent,
    RefusedEvent,
    RunEvent,
)

logger = get_logger("qsession.event_emitter")

LINGER_SECONDS = 0.05
"""The thread begins that long after the first event: by then the flow waits for its job, and
what came together is worked off together."""

FINISH_SECONDS = 1.0
"""For how long the end of a flow run waits for what is left to emit."""

EXIT_SECONDS = 3.0
"""For how long the end of the process waits for it, at the most."""


class _QueuedEvent(NamedTuple):
    """An event, when it was emitted, and in which context: events say of which task run."""

    event: RunEvent
    at: datetime
    context: Context
    is_announced: bool = False


class RunEventEmitter:
    """
    Emit the events of one flow run, over all its sessions; every method is thread-safe.

    Args:
        owner: Returns the flow run, as soon as that is known; before, nothing is emitted.
        reporter: Shows the report.
    """

    def __init__(self, owner: Callable[[], Owner | None], reporter: Reporter) -> None:
        self._owner = owner
        self._reporter = reporter
        self._changed = Condition()
        self._queue: deque[_QueuedEvent] = deque()
        self._thread: Thread | None = None
        self._is_finishing = False
        self._is_complete = False
        self._subjects = _Subjects()

    def emit(self, event: RunEvent) -> None:
        """Log an event and leave the rest to the thread: microseconds; never raises."""
        owner = self._owner()
        if owner is None:
            return
        if line := line_of(event):
            owner.logger.log(*line)
        self._enter(_QueuedEvent(event, datetime.now(UTC), copy_context()))

    def receive(self, event: RunEvent, at: datetime) -> None:
        """Leave to the thread what a worker has sent: it has logged and announced it itself."""
        if self._owner() is None:
            return
        self._enter(_QueuedEvent(event, at, copy_context(), is_announced=True))

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Tell that a session is being opened, and if that fails, why."""
        self.emit(OpeningEvent())
        try:
            yield
        except BaseException as error:
            # Only our own errors are known to hold no secret.
            ours = isinstance(error, QSessionError)
            self.emit(RefusedEvent(str(error) if ours else type(error).__name__))
            raise

    def finish(self, *, is_complete: bool, seconds: float = FINISH_SECONDS) -> None:
        """
        Have the rest emitted and shown now; return when it is, or after so many seconds.

        Args:
            is_complete: Whether the flow run has completed.
            seconds: How long to wait.
        """
        with self._changed:
            thread, self._is_finishing, self._is_complete = self._thread, True, is_complete
            self._changed.notify()
        if thread is not None:
            thread.join(seconds)
            _late.add(thread)

    def _enter(self, queued: _QueuedEvent) -> None:
        with self._changed:
            self._queue.append(queued)
            if self._thread is None:
                self._is_finishing = False
                self._thread = start_thread(self._work, "qsession-events")
            self._changed.notify()

    # -- in the thread

    def _work(self) -> None:
        while True:
            is_last = self._wait()
            owner = self._owner()
            if owner is not None:
                self._pass_on(owner, is_last=is_last)
            if is_last and self._may_end():
                return

    def _wait(self) -> bool:
        """Return when there is something to do, and whether it is the last for now."""
        with self._changed:
            left = self._reporter.seconds_left(datetime.now(UTC))
            self._changed.wait_for(lambda: self._queue or self._is_finishing, left)
            if self._is_finishing:
                return True
        time.sleep(LINGER_SECONDS)
        return False

    def _may_end(self) -> bool:
        with self._changed:
            if self._queue:
                return False
            self._thread, self._is_finishing = None, False
            return True

    def _pass_on(self, owner: Owner, *, is_last: bool) -> None:
        """Announce what was emitted; show it, if it is time to. Never raises."""
        reporter, now = self._reporter, datetime.now(UTC)
        try:
            for queued in self._take():
                self._announce(queued, owner)
                for found in reporter.note(queued.event, queued.at):
                    self._announce_found(found, owner, queued.context, queued.at)
            if is_last or reporter.seconds_left(now) == 0:
                for found in reporter.look(now, is_last=is_last):
                    self._announce_found(found, owner, copy_context(), now)
                if is_last:
                    reporter.read_usage()
                complete = is_last and self._is_complete
                reporter.refresh(owner, now, is_last=is_last, is_complete=complete)
        except Exception as error:  # noqa: BLE001 - whatever it is, the flow must not fail for it
            logger.debug("The session report could not be brought up to date: %s", error)
        if is_last:
            reporter.close()

    def _take(self) -> Iterator[_QueuedEvent]:
        while True:
            with self._changed:
                if not self._queue:
                    return
                queued = self._queue.popleft()
            yield queued

    def _announce_found(
        self, event: RunEvent, owner: Owner, context: Context, at: datetime
    ) -> None:
        """Log and announce what nobody has emitted, and take it in."""
        if line := line_of(event):
            owner.logger.log(*line)
        self._announce(_QueuedEvent(event, at, context), owner)
        self._reporter.note(event, at)

    def _announce(self, queued: _QueuedEvent, owner: Owner) -> None:
        subject = self._subjects.of(queued.event, owner)
        if queued.is_announced:
            return
        queued.context.run(announce, queued.event, subject, queued.at)


@dataclass
class _Subjects:
    """Where the flow run's jobs go, and went."""

    backend: str | None = None
    sessions: dict[str, str] = field(default_factory=dict)
    """The session of each job."""

    def of(self, event: RunEvent, owner: Owner) -> EventSubject:
        """Return what an event is about."""
        if isinstance(event, OpenedEvent):
            self.backend = event.backend
        elif isinstance(event, JobSubmittedEvent):
            self.sessions[event.job_id] = event.session_id
        session_id = self.sessions.get(getattr(event, "job_id", ""))
        return EventSubject.of(owner.flow_run, self.backend, session_id)


_late: "WeakSet[Thread]" = WeakSet()
"""Those that were to finish, and may not have."""


@atexit.register
def _let_them_finish() -> None:
    """Give reports that are being shown a moment, before their threads die with the process."""
    until = time.monotonic() + EXIT_SECONDS
    for thread in list(_late):
        thread.join(max(until - time.monotonic(), 0.0))
