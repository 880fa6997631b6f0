"""
The session of a flow run, managed: opened when a job needs it, safeguarded while it is open, opened
anew when the service has ended it, released persistently.

It outlives a failed attempt of the flow run whose next attempt begins soon, and is replaced by a
new one after a pause, or a time in which nothing was asked of it.
"""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from functools import partial
from logging import Logger, LoggerAdapter
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from prefect.logging.loggers import get_logger

from prefect_qsession.budget.rules import BudgetKind
from prefect_qsession.budget.spending import Spending
from prefect_qsession.config.modes import Mode
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.exceptions import NotInSessionFlow, ServiceError, SessionNotOpen
from prefect_qsession.ibm.records import WorkloadDetails
from prefect_qsession.jobs.activity import Activity
from prefect_qsession.jobs.reattachment import run_tag
from prefect_qsession.jobs.settling import settle_what_is_over
from prefect_qsession.jobs.waiting import Waiting
from prefect_qsession.prefect_api.owners import Owner
from prefect_qsession.prefect_api.threads import start_thread
from prefect_qsession.release.monitor import ReleaseReason
from prefect_qsession.release.release_retry import Patience, ReleaseRetry
from prefect_qsession.reporting import run_events as events
from prefect_qsession.reporting.event_emitter import RunEventEmitter
from prefect_qsession.reporting.report.histories import BudgetUse
from prefect_qsession.reporting.reporter import Reporter
from prefect_qsession.session.lifecycle import Lifecycle
from prefect_qsession.session.openings import Opener
from prefect_qsession.session.slots import asked_on_this_loop
from prefect_qsession.states import Release, SessionState

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend

    from prefect_qsession.ibm.service import Runtime
    from prefect_qsession.release.safeguards import SafeguardedWorkload

    WorkloadLifecycle = Lifecycle[SafeguardedWorkload]

BUDGET_NAMES = {BudgetKind.QPU: "QPU budget", BudgetKind.SESSION: "Session budget"}

TIMEOUT_GRACE = timedelta(seconds=1)
"""For the body to release the session itself when its flow times out."""

BEGIN_SECONDS = 10.0
"""What Prefect may take to begin the next attempt, beyond the delay that was asked for."""

LOOKS_WHILE_IDLE = 0.25
"""Of `idle_release`: so often the service is asked whether jobs are over that nobody waits for."""

SUSPENDING = (ReleaseReason.PAUSED, ReleaseReason.RETRIES_LATER, ReleaseReason.IDLE)
"""After these the session is closed, and another one opened if there is another job."""


class SessionManager:
    """
    Manage one flow run's way to the service and its one session; every method is thread-safe.

    Args:
        make_runtime: Makes the way to the service; called once, when it is first needed.
        credentials: Name of the saved block, None if it is not saved.
        policy: How the session is opened, kept and released.
    """

    def __init__(
        self, make_runtime: "Callable[[], Runtime]", credentials: str | None, policy: ResolvedPolicy
    ) -> None:
        self.owner: Owner | None = None
        """The flow run that it is of, once that is known."""
        self.policy = policy
        self.events = RunEventEmitter(
            lambda: self.owner,
            Reporter(self, policy.mode, policy.long_queue_seconds),
        )
        """Takes the events of the session, and of its jobs."""
        self.spending = Spending(policy, self._emit_most_is_spent)
        """What the flow run has spent, over all its sessions."""
        self.activity = Activity()
        """Which of its jobs are not over, and since when there is none."""
        self.waits = Waiting(policy.questions_per_second)
        self._make_runtime = make_runtime
        self._credentials = credentials
        self._runtime: Runtime | None = None
        self._opener = Opener(policy, self.emit)
        self._lock = Lock()
        self._lifecycle = self._new_lifecycle()
        self._patience: WeakKeyDictionary[WorkloadLifecycle, Patience] = WeakKeyDictionary()
        self._looked_at = float("-inf")
        self._waiting: Timer | None = None

    @property
    def open_session(self) -> "SafeguardedWorkload | None":
        """The session that takes jobs, if there is one."""
        return self.session if self._lifecycle.state is SessionState.OPEN else None

    def backend(self) -> "IBMBackend":
        """Return the backend; this opens no session."""
        return self._way().backend()

    @property
    def session(self) -> "SafeguardedWorkload | None":
        """The latest session, if the service has opened one; also when it is over."""
        return self._lifecycle.session

    def emit(self, event: events.RunEvent) -> None:
        """Emit an event of the flow run here and now; returns at once, never raises."""
        self.events.emit(event)

    def acquire(self) -> "SafeguardedWorkload":
        """Return the open session, opening it if there is none; raises as the lifecycle does."""
        try:
            return self._lifecycle.acquire()
        except SessionNotOpen:
            # Perhaps released by the monitor, because the budget is spent: that is what to say.
            self.spending.next_max_time_seconds()
            raise

    def holds(self, session: "SafeguardedWorkload") -> bool:
        """Whether this session is open, and the one that jobs go into."""
        return self.open_session is session

    def give_up(self, session: "SafeguardedWorkload", reason: str) -> None:
        """
        Note that the service has ended this session; the next `acquire` opens another.

        But not if somebody released it, by hand or because they took this process for dead.
        """
        released = session.was_released_elsewhere()
        reason = f"it was released by another process. {reason}" if released else reason
        if not self._lifecycle.lose(session, reason, for_good=released):
            return
        session.take_down()
        self.spending.session_lost(session)
        self.emit(events.LostEvent(session.session_id, reason))

    def has_ended(self, session_id: str | None) -> bool:
        """
        Whether this session, of this attempt or an earlier one, takes no more jobs, while the flow
        run goes on.

        Raises:
            ServiceError: The service did not tell.
        """
        from prefect_qsession.ibm.released import find_session  # noqa: PLC0415 - slow to import

        lifecycle = self._lifecycle
        if session_id is None or lifecycle.state.is_released:
            return False
        session = lifecycle.session
        if session is None or session.session_id != session_id:
            found = find_session(self.backend().service, session_id)
            return found is None or not found.details().accepting_jobs
        if self.holds(session):
            if session.details().accepting_jobs:
                return False
            self.give_up(session, "it was closed while jobs of it waited.")
        return True

    def release(self, outcome: Release) -> None:
        """
        Close or cancel the session, if one is open; a repeated call does nothing.

        A request that fails, or gets no answer, is repeated for as long as the policy says. Never
        raises an `Exception`: a failure here must not hide how the flow run itself ended. It is
        logged as an error, and left to the guardian, the reaper and `max_time`.
        """
        self._release(self._lifecycle, outcome)

    def suspend(self, why: str) -> None:
        """Close the session, if one is open; the next job opens another."""
        with self._lock:
            lifecycle = self._lifecycle
            if lifecycle.state is not SessionState.OPEN:
                return
            self._lifecycle = self._new_lifecycle()
        self.logger.info("The flow run is %s: its session is closed, a job opens another.", why)
        self._release(lifecycle, Release.CLOSE)

    def keep_for_next_attempt(self, delay_seconds: float) -> None:
        """
        Keep the session while the flow run waits to be tried again; `go_on` when it is.

        Closed if that does not happen: Prefect looks for a server that is gone for minutes.
        """
        self.go_on()
        # Prefect's settings travel in context variables.
        close = partial(copy_context().run, self.suspend, "not begun anew")
        self._waiting = Timer(delay_seconds + BEGIN_SECONDS, close)
        self._waiting.daemon = True
        self._waiting.start()

    def go_on(self) -> None:
        """Note that the next attempt of the flow run has begun; or that it waits no longer."""
        if self._waiting is not None:
            self._waiting.cancel()

    @property
    def logger(self) -> "Logger | LoggerAdapter[Any]":
        """The flow run's own logger, once the flow run is known."""
        return self.owner.logger if self.owner else get_logger("qsession")

    def _way(self) -> "Runtime":
        with self._lock:
            if self._runtime is None:
                self._runtime = self._make_runtime()
            return self._runtime

    def _new_lifecycle(self) -> "WorkloadLifecycle":
        return Lifecycle(self._open, self.policy.reopen, _in_a_thread)

    def _open(self) -> "SafeguardedWorkload":
        with self.events.opening():
            return self._open_safeguarded()

    def _open_safeguarded(self) -> "SafeguardedWorkload":
        from prefect_qsession.release.ledger import PrefectLedger  # noqa: PLC0415 - as below
        from prefect_qsession.release.safeguards import SafeguardedWorkload  # noqa: PLC0415 - imports the client, slowly

        owner = self.owner
        if owner is None:
            raise NotInSessionFlow("A session", "the flow run that it would belong to is not known")
        runtime, lifecycle = self._way(), self._lifecycle
        backend_name: str = runtime.backend().name
        max_time = self.spending.next_max_time_seconds()
        opened, give_slot_back = self._opener.open(runtime, owner, max_time)
        session = SafeguardedWorkload(opened, owner, self.policy, PrefectLedger(), give_slot_back)
        try:
            session.put_up(
                runtime.access,
                backend_name,
                self._credentials,
                look_inside=lambda: self._look_inside(session),
                on_reason=lambda reason: self._react(lifecycle, reason),
                on_gone=lambda why: self.give_up(session, why),
                now=datetime.now(UTC),
            )
        except BaseException:
            # It has no job: if it cannot be cancelled either, the service closes it by itself.
            with suppress(ServiceError):
                session.cancel()
            raise
        limit = None if opened.mode is Mode.JOB else max_time
        page = runtime.page(opened.session_id)
        self.emit(events.OpenedEvent(opened.session_id, opened.mode, backend_name, limit, page))
        return session

    def _look_inside(self, session: "SafeguardedWorkload") -> ReleaseReason | None:
        """Tell the monitor what the API does not know."""
        ends_at = self.owner.times_out_at if self.owner else None
        # Prefect raises an error in the flow's thread then, which code that catches everything can
        # swallow.
        if ends_at is not None and datetime.now(UTC) > ends_at + TIMEOUT_GRACE:
            return ReleaseReason.FAILED
        if self.spending.is_over(session):
            return ReleaseReason.OVER_BUDGET
        return ReleaseReason.IDLE if self._is_idle(time.monotonic()) else None

    def _is_idle(self, now: float) -> bool:
        """Whether nothing was asked of the session for as long as the policy allows."""
        idle_release = self.policy.idle_release_seconds
        if idle_release is None or self.owner is None:
            return False
        if not self.waits.number and now - self._looked_at >= LOOKS_WHILE_IDLE * idle_release:
            # A job may be over though nobody has waited for it.
            self._looked_at = now
            with suppress(ServiceError):
                settle_what_is_over(self.activity, self.backend().service, self.owner.flow_run_id)
        return self.activity.idle_seconds(now) > idle_release

    def _emit_most_is_spent(self, budget: BudgetKind, spent_seconds: float) -> None:
        cap = self.spending.budget.cap_seconds(budget)
        self.emit(events.BudgetWarningEvent(budget, spent_seconds, cap))

    def _react(self, lifecycle: "WorkloadLifecycle", reason: ReleaseReason) -> None:
        """Release as the reason asks, in the monitor's thread."""
        if reason in SUSPENDING:
            self.suspend(reason)
            return
        self.logger.info("The flow run is %s: releasing its session.", reason)
        outcome = Release.CLOSE if reason is ReleaseReason.COMPLETED else Release.CANCEL
        self._release(lifecycle, outcome)

    def _release(self, lifecycle: "WorkloadLifecycle", outcome: Release) -> None:
        if lifecycle.state.is_final:
            return
        if lifecycle.state is SessionState.OPENING:
            self._opener.give_up()
        session = lifecycle.session
        if session is not None and lifecycle.state is SessionState.OPEN:
            self.emit(events.ReleasingEvent(session.session_id, outcome))
        with self._lock:
            new = Patience(self.policy.release_within_seconds)
            patience = self._patience.setdefault(lifecycle, new)
        attempt = ReleaseRetry(lambda: lifecycle.release(outcome))
        began = time.monotonic()
        attempt.run(patience.left(began))
        patience.waited(began, time.monotonic())
        session = lifecycle.session
        if attempt.released and session is not None:
            self._emit_released(session, lifecycle.state, outcome)
        elif attempt.failure is not None and patience.tell_once():
            session_id = session.session_id if session else "unknown"
            max_time = self.policy.max_time_seconds
            self.emit(events.LeftOpenEvent(session_id, str(attempt.failure), max_time))

    def _emit_released(
        self, session: "SafeguardedWorkload", state: SessionState, outcome: Release
    ) -> None:
        self.spending.session_ended(session)
        usage: float | None = None
        # After a cancel the process may have little time left, and a job may run on.
        if outcome is Release.CLOSE and session.mode is not Mode.JOB:
            try:
                usage = self.spending.read(session)
            except Exception as error:  # noqa: BLE001 - it is released, only the figure is missing
                self.logger.debug("The usage of the session cannot be read: %s", error)
        session_id = session.session_id
        self.emit(events.ReleasedEvent(session_id, state, usage_seconds=usage))

    # -- what the session report asks

    def budgets(self) -> list[BudgetUse]:
        """Return how much of the flow run's budgets is spent, as far as it is known here."""
        now, budget = time.monotonic(), self.spending.budget
        return [
            BudgetUse(name, budget.spent_seconds(kind, now), cap)
            for kind, name in BUDGET_NAMES.items()
            if (cap := budget.cap_seconds(kind)) is not None
        ]

    def details(self) -> WorkloadDetails | None:
        """Ask how the latest session stands; None if there is none whose time is counted."""
        session = self.session
        return session.details() if session and session.mode is not Mode.JOB else None

    def charges(self, job_ids: Collection[str]) -> Mapping[str, float]:
        """Ask what these jobs were charged; those whose charge is not final are left out."""
        from prefect_qsession.ibm.charges import charges  # noqa: PLC0415 - slow to import

        if self.owner is None:
            return {}
        found = charges(self.backend().service, job_ids, run_tag(self.owner.flow_run_id))
        # Those of workers, too, which the budgets of this process know in no other way.
        self.spending.learn(found)
        return found


def _in_a_thread(open_session: Callable[[], None]) -> None:
    with asked_on_this_loop():
        start_thread(open_session, "qsession-open")
