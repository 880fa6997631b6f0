"""
How a flow run comes to something that takes its jobs: with a slot where sessions are limited, in
the first mode that the plan allows.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from prefect_qsession.config.modes import modes_to_try
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.exceptions import ServiceError, SessionNotOpen, SessionRefused
from prefect_qsession.jobs.reattachment import run_tag
from prefect_qsession.prefect_api.enclosing_runs import flows_around
from prefect_qsession.prefect_api.owners import Owner
from prefect_qsession.reporting.run_events import ModeFallbackEvent, RunEvent
from prefect_qsession.session.slots import Slot

if TYPE_CHECKING:
    from prefect_qsession.ibm.service import Runtime
    from prefect_qsession.ibm.workloads import RuntimeWorkload

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each repetition of a request to open that was not answered."""


class Opener:
    """
    Open sessions, one after the other, for one flow run; every method is thread-safe.

    Args:
        policy: Which modes, and whether sessions are limited.
        emit: Is told of a mode that the plan refuses.
    """

    def __init__(self, policy: ResolvedPolicy, emit: Callable[[RunEvent], object]) -> None:
        self._emit = emit
        self._policy = policy
        self._limit = policy.concurrency_limit
        self._modes = modes_to_try(policy.mode, policy.fallback)
        self._lock = Lock()
        self._waiting: Slot | None = None

    def open(
        self, runtime: "Runtime", owner: Owner, max_time_seconds: int
    ) -> "tuple[RuntimeWorkload, Callable[[], None]]":
        """
        Return what was opened, and what gives its slot back.

        Once a mode was refused for what the plan allows, it is not tried again.

        Raises:
            SessionNotOpen: `give_up` was called while it waited for a slot.
            UnknownLimit: There is no such concurrency limit.
            SlotHeld: Whoever has the slots waits for this flow run.
            SlotUnavailable: The Prefect API did not give a slot, or not in time.
            ServiceError: The service opened nothing; no slot is held.
        """
        slot = self._take_slot(owner)
        try:
            return self._open(runtime, owner, max_time_seconds), slot.release if slot else _nothing
        except BaseException:
            if slot:
                slot.release()
            raise

    def give_up(self) -> None:
        """Wait for a slot no longer."""
        with self._lock:
            waiting = self._waiting
        if waiting:
            waiting.release()

    def _take_slot(self, owner: Owner) -> Slot | None:
        if self._limit is None:
            return None
        slot = Slot(
            self._limit,
            owner.flow_run_id,
            owner.logger,
            name=owner.flow_run.name,
            enclosing=[run.id for context in flows_around() if (run := context.flow_run)],
            gives_way=self._policy.idle_release_seconds is not None,
            within_seconds=self._policy.slot_within_seconds,
        )
        with self._lock:
            self._waiting = slot
        try:
            if not slot.take():
                raise SessionNotOpen(None, "released")
        finally:
            with self._lock:
                self._waiting = None
        return slot

    def _open(self, runtime: "Runtime", owner: Owner, max_time_seconds: int) -> "RuntimeWorkload":
        unanswered = 0
        while True:
            mode, *others = self._modes
            try:
                return runtime.open_session(max_time_seconds, mode, run_tag(owner.flow_run_id))
            except ServiceError as error:
                if error.doubtful and unanswered < len(PAUSES):
                    # If it was opened all the same, it has no jobs: free, and closed by the service
                    # after half an hour. Sessions cannot be listed, so it cannot be looked for.
                    owner.logger.warning("Trying again: %s", error)
                    time.sleep(PAUSES[unanswered])
                    unanswered += 1
                    continue
                if not others or not (isinstance(error, SessionRefused) and error.by_plan):
                    raise
                self._emit(ModeFallbackEvent(mode, others[0], str(error)))
                self._modes = tuple(others)


def _nothing() -> None:
    """Give no slot back: none was taken."""
