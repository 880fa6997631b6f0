"""
The journal of a flow run as one of its workers keeps it.

Log and events are told from here at once. The session report is kept by the flow's process, so it
is sent what happens, by way of the Prefect API, from a thread beside the tasks.
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

from prefect_qsession.prefect_api.clients import impatient_client
from prefect_qsession.prefect_api.owners import Owner
from prefect_qsession.prefect_api.threads import start_thread
from prefect_qsession.reporting.log_lines import line_of
from prefect_qsession.reporting.prefect_events import About, announce
from prefect_qsession.reporting.run_events import Happening
from prefect_qsession.workers.context import OpenSession
from prefect_qsession.workers.event_serialization import News
from prefect_qsession.workers.flow_run_inputs import send_news

logger = get_logger("qsession.worker_journal")

LINGER_SECONDS = 0.05
"""What comes together is sent together, and while the task waits for its job."""

NEWS_EVERY_SECONDS = 1.0
"""Between two letters of one worker, at the least."""

IDLE_SECONDS = 10.0
"""After which the thread ends: a worker outlives the flow runs that it has worked for."""

MOST_IN_A_LETTER = 500

PASSING = frozenset({codes.REQUEST_TIMEOUT, codes.TOO_MANY_REQUESTS})
"""Refusals that another try need not meet."""

MOST_KEPT = 20_000
"""Where the API is away the oldest are dropped: they are missing from the report, nowhere else."""


class WorkerJournal:
    """
    Tell the log, whoever listens to Prefect's events, and the flow's process what happens here.

    Args:
        owner: The flow run.
        place: Returns the session that jobs go into, as far as it is known.
    """

    def __init__(self, owner: Owner, place: Callable[[], OpenSession | None]) -> None:
        self._owner = owner
        self._place = place
        self._changed = Condition()
        self._outbox: deque[News] = deque(maxlen=MOST_KEPT)
        self._is_sending = False
        self._name = uuid4().hex
        self._letters = count()
        self._letter: tuple[int, list[News]] | None = None
        """The one that is being sent: once more under its own number, if nobody has confirmed."""

    def tell(self, happening: Happening) -> None:
        """Tell it; Prefect sends logs and events from threads of its own. Never raises."""
        owner, place, now = self._owner, self._place(), datetime.now(UTC)
        if line := line_of(happening):
            owner.logger.log(*line)
        where = (place.backend_name, place.session_id) if place else (None, None)
        announce(happening, About.of(owner.flow_run, *where), now)
        self.pass_on(happening, now)

    def pass_on(self, happening: Happening, at: datetime) -> None:
        """Leave it to the flow's process to tell; never raises."""
        with self._changed:
            self._outbox.append(News(happening, at))
            if not self._is_sending:
                self._is_sending = True
                start_thread(self._send, "qsession-news")
            self._changed.notify()

    # -- in the thread

    def _send(self) -> None:
        try:
            with impatient_client() as client:
                while self._has_news():
                    time.sleep(LINGER_SECONDS)
                    self._send_letter(client)
                    time.sleep(NEWS_EVERY_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever it is, no task must fail for it
            logger.debug("The flow's process is not told what happens here: %s", error)
            with self._changed:
                self._is_sending = False

    def _has_news(self) -> bool:
        with self._changed:
            self._is_sending = bool(
                self._letter or self._changed.wait_for(lambda: self._outbox, IDLE_SECONDS)
            )
            return self._is_sending

    def _send_letter(self, client: SyncPrefectClient) -> None:
        number, news = self._letter = self._letter or (next(self._letters), self._take())
        try:
            send_news(client, self._owner.flow_run_id, self._name, number, news)
        except (HTTPError, ObjectNotFound) as error:
            logger.debug("The flow's process is not told what happens here: %s", error)
            if not _is_refused(error):
                return
        self._letter = None

    def _take(self) -> list[News]:
        with self._changed:
            length = min(len(self._outbox), MOST_IN_A_LETTER)
            return [self._outbox.popleft() for _ in range(length)]


def _is_refused(error: Exception) -> bool:
    """Whether it is no use to try again: the flow run is gone, say."""
    if isinstance(error, HTTPStatusError):
        status = error.response.status_code
        return codes.is_client_error(status) and status not in PASSING
    return isinstance(error, ObjectNotFound)
