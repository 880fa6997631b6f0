"""
A slot of a Prefect global concurrency limit, held for as long as a session is open.

So an operator says how many sessions may be open at once, over all flow runs and machines. Prefect
gives a slot as a lease: renewed in the background, and free again soon after its process has died.
"""

from logging import Logger, LoggerAdapter
from threading import Event, Thread
from typing import Any
from uuid import UUID

import httpx
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.context import ConcurrencyContext
from prefect.concurrency.sync import concurrency

from prefect_qsession.exceptions import SlotUnavailable, UnknownLimit
from prefect_qsession.prefect_api.threads import start_thread

LEASE_SECONDS = 60.0
"""The shortest that Prefect's server gives; a dead process keeps its slot for so long."""

LOOK_EVERY_SECONDS = 5.0
RELEASE_SECONDS = 5.0
"""What a release may take before it is left to the lease's end."""


class Slot:
    """
    One slot, taken at most once; every method may be called from any thread.

    Args:
        limit: Name of the global concurrency limit.
        flow_run_id: Shown by Prefect as the one who holds it.
        logger: Told, once, that the limit is full.
        look_every_seconds: Time between two looks whether a slot of a full limit is free.
    """

    def __init__(
        self,
        limit: str,
        flow_run_id: UUID,
        logger: "Logger | LoggerAdapter[Any]",
        look_every_seconds: float = LOOK_EVERY_SECONDS,
    ) -> None:
        self._limit = limit
        self._holder = ConcurrencyLeaseHolder(type="flow_run", id=flow_run_id)
        self._logger = logger
        self._look_every_seconds = look_every_seconds
        self._failure: Exception | None = None
        self._taken = False
        self._answered = Event()
        self._enough = Event()
        self._thread: Thread | None = None

    def take(self) -> bool:
        """
        Wait until there is a free slot and take it; False if it was released meanwhile.

        Raises:
            UnknownLimit: There is no such limit.
            SlotUnavailable: The Prefect API did not answer, or refused.
        """
        # A thread of its own holds the slot: Prefect's way to hold one is a context manager that
        # has to be left by the thread that entered it.
        self._thread = start_thread(self._hold, "qsession-slot")
        try:
            self._answered.wait()
        except BaseException:
            self._enough.set()
            raise
        if self._failure is not None:
            raise self._failure
        return self._taken

    def release(self) -> None:
        """Give the slot back, or stop waiting for one; safe to repeat, and never raises."""
        self._enough.set()
        self._answered.set()
        if self._thread is not None:
            self._thread.join(RELEASE_SECONDS)

    def _hold(self) -> None:
        try:
            # A flow run's own context would give the slot back when an attempt ends, and the
            # session may be kept for the next one.
            with ConcurrencyContext():
                self._hold_when_free()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._failure = error
            if self._taken:
                self._logger.warning(
                    "The slot of concurrency limit %r was not given back; it is free in %d s: %s",
                    self._limit,
                    LEASE_SECONDS,
                    error,
                )
        finally:
            self._answered.set()

    def _hold_when_free(self) -> None:
        pause, told = 0.0, False
        while not self._enough.wait(pause):
            try:
                self._hold_now()
            except _LimitFull:
                pause = self._look_every_seconds
                if not told:
                    self._logger.info(
                        "Concurrency limit %r is full: waiting for a slot to open a session in.",
                        self._limit,
                    )
                    told = True
            else:
                return

    def _hold_now(self) -> None:
        try:
            with concurrency(
                self._limit,
                # Not Prefect's own waiting, which nothing interrupts, not even the process's end.
                max_retries=0,
                lease_duration=LEASE_SECONDS,
                strict=True,
                holder=self._holder,
                # A session that is open does not end because the API is out for a minute.
                raise_on_lease_renewal_failure=False,
            ):
                self._taken = not self._enough.is_set()
                self._answered.set()
                self._enough.wait()
        except ConcurrencySlotAcquisitionError as error:
            raise self._translated(error) from error

    def _translated(self, error: ConcurrencySlotAcquisitionError) -> Exception:
        cause = error.__cause__
        if cause is None:  # as Prefect says in words only
            return UnknownLimit(self._limit)
        if isinstance(cause, httpx.HTTPStatusError) and (
            cause.response.status_code == httpx.codes.LOCKED
        ):
            return _LimitFull()
        return SlotUnavailable(self._limit, f"{error}.")


class _LimitFull(Exception):
    """The limit has no free slot now."""
