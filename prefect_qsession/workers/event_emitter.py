"""
The events of a flow run that happen in one of its workers.

They are logged and given to Prefect from here at once. The session report is kept by the flow's
process, so they are sent there, by way of the Prefect API, from a thread beside the tasks.
"""

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from threading import Condition
from uuid import uuid4

from httpx import HTTPError, HTTPStatusError, codes
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.logging.loggers import get_logger

from prefect_qsession.prefect_api.clients import short_timeout_client
from prefect_qsession.prefect_api.owners import Owner
from prefect_qsession.prefect_api.threads import start_thread
from prefect_qsession.reporting.log_lines import line_of
from prefect_qsession.reporting.prefect_events import EventSubject, announce
from prefect_qsession.reporting.run_events import RunEvent
from prefect_qsession.workers.context import JobDestination
from prefect_qsession.workers.event_serialization import TimedEvent
from prefect_qsession.workers.flow_run_inputs import send_events

logger = get_logger("qsession.worker_event_emitter")

LINGER_SECONDS = 0.05
"""What comes together is sent together, and while the task waits for its job."""

SEND_EVERY_SECONDS = 1.0
"""Between two batches of one worker, at the least."""

IDLE_SECONDS = 10.0
"""After which the thread ends: a worker outlives the flow runs that it has worked for."""

MOST_IN_A_BATCH = 500

PASSING = frozenset({codes.REQUEST_TIMEOUT, codes.TOO_MANY_REQUESTS})
"""Refusals that another try need not meet."""

MOST_KEPT = 20_000
"""Where the API is away the oldest are dropped: they are missing from the report, nowhere else."""


class WorkerEventEmitter:
    """
    Tell the log, whoever listens to Prefect's events, and the flow's process what happens here.

    Args:
        owner: The flow run.
        destination: Returns the session that jobs go into, as far as it is known.
    """

    def __init__(self, owner: Owner, destination: Callable[[], JobDestination | None]) -> None:
        self._owner = owner
        self._destination = destination
        self._changed = Condition()
        self._unsent: deque[TimedEvent] = deque(maxlen=MOST_KEPT)
        self._is_sending = False
        self._name = uuid4().hex
        self._batch_numbers = count()
        self._batch: tuple[int, list[TimedEvent]] | None = None
        """The one that is being sent: once more under its own number, if nobody has confirmed."""

    def emit(self, event: RunEvent) -> None:
        """Emit it; Prefect sends logs and events from threads of its own. Never raises."""
        owner, destination, now = self._owner, self._destination(), datetime.now(UTC)
        if line := line_of(event):
            owner.logger.log(*line)
        where = (destination.backend_name, destination.session_id) if destination else (None, None)
        announce(event, EventSubject.of(owner.flow_run, *where), now)
        self.forward(event, now)

    def forward(self, event: RunEvent, at: datetime) -> None:
        """Leave it to the flow's process to emit; never raises."""
        with self._changed:
            self._unsent.append(TimedEvent(event, at))
            if not self._is_sending:
                self._is_sending = True
                start_thread(self._send, "qsession-worker-events")
            self._changed.notify()

    # -- in the thread

    def _send(self) -> None:
        try:
            with short_timeout_client() as client:
                while self._has_unsent():
                    time.sleep(LINGER_SECONDS)
                    self._send_batch(client)
                    time.sleep(SEND_EVERY_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever it is, no task must fail for it
            logger.debug("The flow's process is not told what happens here: %s", error)
            with self._changed:
                self._is_sending = False

    def _has_unsent(self) -> bool:
        with self._changed:
            self._is_sending = bool(
                self._batch or self._changed.wait_for(lambda: self._unsent, IDLE_SECONDS)
            )
            return self._is_sending

    def _send_batch(self, client: SyncPrefectClient) -> None:
        number, events = self._batch = self._batch or (next(self._batch_numbers), self._take())
        try:
            send_events(client, self._owner.flow_run_id, self._name, number, events)
        except (HTTPError, ObjectNotFound) as error:
            logger.debug("The flow's process is not told what happens here: %s", error)
            if not _is_refused(error):
                return
        self._batch = None

    def _take(self) -> list[TimedEvent]:
        with self._changed:
            length = min(len(self._unsent), MOST_IN_A_BATCH)
            return [self._unsent.popleft() for _ in range(length)]


def _is_refused(error: Exception) -> bool:
    """Whether it is no use to try again: the flow run is gone, say."""
    if isinstance(error, HTTPStatusError):
        status = error.response.status_code
        return codes.is_client_error(status) and status not in PASSING
    return isinstance(error, ObjectNotFound)
