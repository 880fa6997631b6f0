"""
The thread that follows a flow run with an open session through the API.

It notices what nobody tells the flow's own process: a plain script is not told that its run was
cancelled in the UI, and no task runner is told that its run is paused or waits for its next
attempt. It also sends the session's heartbeat.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from threading import Event
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.logging.loggers import get_logger

from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.prefect_api.clients import impatient_client
from prefect_qsession.prefect_api.threads import start_thread

logger = get_logger("qsession.monitor")


class News(StrEnum):
    """What becomes of a flow run, or of its session, that the session must know."""

    CANCELLED = "cancelled"
    FAILED = "failed"
    OVER_BUDGET = "over its budget"
    COMPLETED = "completed"
    PAUSED = "paused"
    RETRIES_LATER = "waiting for its next attempt"
    IDLE = "idle"


NEWS = {
    StateType.CANCELLING: News.CANCELLED,
    StateType.CANCELLED: News.CANCELLED,
    StateType.FAILED: News.FAILED,
    StateType.COMPLETED: News.COMPLETED,
    StateType.PAUSED: News.PAUSED,
}
"""By the type of state. A crash is no news to a process that lives: it is said to be dead."""


def news_of(flow_runs: Iterable[FlowRun], keep_for_retry_seconds: float) -> News | None:
    """Return the worst of what is new about these flow runs; None if they go on."""
    found = set()
    for flow_run in flow_runs:
        if flow_run.state_type is StateType.SCHEDULED:
            delay = float(flow_run.empirical_policy.retry_delay or 0)
            if flow_run.run_count and delay > keep_for_retry_seconds:
                found.add(News.RETRIES_LATER)
        elif flow_run.state_type in NEWS:
            found.add(NEWS[flow_run.state_type])
    return next((news for news in News if news in found), None)


class Monitor:
    """
    Follow flow runs from a thread, until there is news or `stop` is called.

    A slow or absent API is no news, and is never raised.

    Args:
        flow_run_ids: The owner of the session, and the flow run at the top.
        policy: How often to look, and to send a heartbeat.
        look_inside: Tells what this process itself knows that is new, at each look.
        on_news: Called once, from the thread.
        beat: Sends one heartbeat.
    """

    def __init__(
        self,
        flow_run_ids: Iterable[UUID],
        policy: ResolvedPolicy,
        look_inside: Callable[[], News | None],
        on_news: Callable[[News], None],
        beat: Callable[[], object],
    ) -> None:
        self._flow_run_ids = list(dict.fromkeys(flow_run_ids))
        self._policy = policy
        self._look_inside = look_inside
        self._on_news = on_news
        self._beat = beat
        self._stopped = Event()

    def start(self) -> None:
        """Begin to follow."""
        start_thread(self._follow, "qsession-monitor")

    def stop(self) -> None:
        """Follow no longer; safe to repeat, and from within `on_news`."""
        self._stopped.set()

    def _follow(self) -> None:
        news: News | None = None
        while news is None and not self._stopped.wait(self._policy.monitor_every_seconds):
            try:
                with impatient_client() as client:
                    news = self._wait_for_news(client)
            except Exception as error:  # noqa: BLE001 - it goes on, or nobody follows the flow run
                logger.debug("The flow run cannot be followed at the moment: %s", error)
        if news is not None and not self._stopped.is_set():
            self._on_news(news)

    def _wait_for_news(self, client: SyncPrefectClient) -> News | None:
        """Look at once and again and again, until there is news or it is told to stop."""
        policy = self._policy
        looks_per_beat = max(
            1, round(policy.heartbeat_every_seconds / policy.monitor_every_seconds)
        )
        looks = 0
        while True:
            looks += 1
            news = self._look_inside()
            try:
                if looks % looks_per_beat == 0:
                    self._beat()
                news = news or news_of(self._read(client), policy.keep_for_retry_seconds)
            except Exception as error:  # noqa: BLE001 - a slow or absent API is no news
                logger.debug("The flow run cannot be followed at the moment: %s", error)
            if news is not None or self._stopped.wait(policy.monitor_every_seconds):
                return news

    def _read(self, client: SyncPrefectClient) -> list[FlowRun]:
        return client.read_flow_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=self._flow_run_ids))
        )
