"""
The threads that follow a flow run with an open session through the API, and say that it lives.

One notices what nobody tells the flow's own process: a plain script is not told that its run was
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
from prefect_qsession.prefect_api.clients import short_timeout_client
from prefect_qsession.prefect_api.threads import start_thread

logger = get_logger("qsession.monitor")


class ReleaseReason(StrEnum):
    """What becomes of a flow run, or of its session, that has the session released."""

    CANCELLED = "cancelled"
    FAILED = "failed"
    OVER_BUDGET = "over its budget"
    COMPLETED = "completed"
    PAUSED = "paused"
    RETRIES_LATER = "waiting for its next attempt"
    IDLE = "idle"


RELEASE_REASONS = {
    StateType.CANCELLING: ReleaseReason.CANCELLED,
    StateType.CANCELLED: ReleaseReason.CANCELLED,
    StateType.FAILED: ReleaseReason.FAILED,
    StateType.COMPLETED: ReleaseReason.COMPLETED,
    StateType.PAUSED: ReleaseReason.PAUSED,
}
"""By the type of state. A crash is none to a process that lives: it is said to be dead."""


def reason_of(flow_runs: Iterable[FlowRun], keep_for_retry_seconds: float) -> ReleaseReason | None:
    """Return the worst reason that these flow runs give; None if they go on."""
    found = set()
    for flow_run in flow_runs:
        if flow_run.state_type is StateType.SCHEDULED:
            delay = float(flow_run.empirical_policy.retry_delay or 0)
            if flow_run.run_count and delay > keep_for_retry_seconds:
                found.add(ReleaseReason.RETRIES_LATER)
        elif flow_run.state_type in RELEASE_REASONS:
            found.add(RELEASE_REASONS[flow_run.state_type])
    return next((reason for reason in ReleaseReason if reason in found), None)


class Monitor:
    """
    Follow flow runs from threads, until there is a reason or `stop` is called.

    A slow or absent API is none, and is never raised.

    Args:
        flow_run_ids: The owner of the session, and the flow run at the top.
        policy: How often to look, and to send a heartbeat.
        look_inside: Tells the reason that this process itself knows, if any, at each look.
        on_reason: Called once, from the thread.
        beat: Sends one heartbeat.
    """

    def __init__(
        self,
        flow_run_ids: Iterable[UUID],
        policy: ResolvedPolicy,
        look_inside: Callable[[], ReleaseReason | None],
        on_reason: Callable[[ReleaseReason], None],
        beat: Callable[[], object],
    ) -> None:
        ids = list(dict.fromkeys(flow_run_ids))
        self._wanted = FlowRunFilter(id=FlowRunFilterId(any_=ids))
        self._policy = policy
        self._look_inside = look_inside
        self._on_reason = on_reason
        self._beat = beat
        self._stopped = Event()

    def start(self) -> None:
        """Begin to follow."""
        start_thread(self._follow, "qsession-monitor")
        start_thread(self._keep_beating, "qsession-heartbeat")

    def stop(self) -> None:
        """Follow no longer; safe to repeat, and from within `on_reason`."""
        self._stopped.set()

    def _follow(self) -> None:
        reason: ReleaseReason | None = None
        while reason is None and not self._stopped.wait(self._policy.monitor_every_seconds):
            try:
                with short_timeout_client() as client:
                    reason = self._wait_for_reason(client)
            except Exception as error:  # noqa: BLE001 - it goes on, or nobody follows the flow run
                logger.debug("The flow run cannot be followed at the moment: %s", error)
        if reason is not None and not self._stopped.is_set():
            self._on_reason(reason)

    def _wait_for_reason(self, client: SyncPrefectClient) -> ReleaseReason | None:
        """Look at once and again and again, until there is a reason or it is told to stop."""
        policy = self._policy
        while True:
            reason = self._look_inside()
            try:
                flow_runs = client.read_flow_runs(flow_run_filter=self._wanted)
                reason = reason or reason_of(flow_runs, policy.keep_for_retry_seconds)
            except Exception as error:  # noqa: BLE001 - a slow or absent API is no reason
                logger.debug("The flow run cannot be followed at the moment: %s", error)
            if reason is not None or self._stopped.wait(policy.monitor_every_seconds):
                return reason

    def _keep_beating(self) -> None:
        while not self._stopped.wait(self._policy.heartbeat_every_seconds):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - the next one may be heard
                logger.debug("The heartbeat is not heard at the moment: %s", error)
