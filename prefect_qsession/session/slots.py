"""
A slot of a Prefect global concurrency limit, held for as long as a session is open.

So an operator says how many sessions may be open at once, over all flow runs and machines. Prefect
gives a slot as a lease: renewed in the background, and free again soon after its process has died.
"""

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging import Logger, LoggerAdapter
from threading import Event, Thread
from typing import Any
from uuid import UUID

import httpx
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.context import ConcurrencyContext
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound

from prefect_qsession.exceptions import SlotHeld, SlotUnavailable, UnknownLimit
from prefect_qsession.prefect_api.clients import short_timeout_client
from prefect_qsession.prefect_api.threads import running_loop, start_thread

_asked_on: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar(
    "qsession_asked_on", default=None
)

LEASE_SECONDS = 60.0
"""The shortest that Prefect's server gives; a dead process keeps its slot for so long."""

LOOK_EVERY_SECONDS = 5.0
RELEASE_SECONDS = 5.0
"""What a release may take before it is left to the lease's end."""

WITHIN_SECONDS = 8 * 3600.0
"""How long a slot is waited for at the most: as long as the service allows a session to be."""

WITHIN_ON_LOOP_SECONDS = 60.0
"""The same where an event loop is held by the wait, and this process has all the slots."""

_held: "list[Slot]" = []
"""The slots that this process holds."""


class Slot:
    """
    One slot, taken at most once; every method may be called from any thread.

    Args:
        limit: Name of the global concurrency limit.
        flow_run_id: Shown by Prefect as the one who holds it.
        logger: Told, once, that the limit is full.
        look_every_seconds: Time between two looks whether a slot of a full limit is free.
        name: The flow run's, for whoever is told that it holds the slot.
        enclosing: The flow runs that go on only after this one.
        gives_way: Whether the slot is given back while its flow run goes on, when nothing is asked.
        within_seconds: How long to wait.
    """

    def __init__(
        self,
        limit: str,
        flow_run_id: UUID,
        logger: "Logger | LoggerAdapter[Any]",
        look_every_seconds: float = LOOK_EVERY_SECONDS,
        *,
        name: str = "",
        enclosing: Collection[UUID] = (),
        gives_way: bool = False,
        within_seconds: float = WITHIN_SECONDS,
    ) -> None:
        self._limit = limit
        self._flow_run_id = flow_run_id
        self._name = name or str(flow_run_id)
        self._enclosing = {flow_run_id, *enclosing}
        self._gives_way = gives_way
        self._within_seconds = within_seconds
        self._loop = running_loop()
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
            SlotHeld: It would never be free: who holds it waits for this flow run.
            SlotUnavailable: The Prefect API did not answer, or refused, or none was free in time.
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
        pause, told, began = 0.0, False, time.monotonic()
        while not self._enough.wait(pause):
            try:
                self._hold_now()
            except _LimitFull:
                self._refuse_what_cannot_succeed(time.monotonic() - began)
                pause = self._look_every_seconds
                if not told:
                    self._logger.info(
                        "Concurrency limit %r is full: waiting for a slot to open a session in.%s",
                        self._limit,
                        self._who_holds(self._others()),
                    )
                    told = True
            else:
                return

    def _refuse_what_cannot_succeed(self, waited_seconds: float) -> None:
        """
        Raise if the limit is full of flow runs that wait for this one, or if it has been too long.

        A slot that was taken on an event loop is given back on it, and the loop stands still while
        a slot is waited for there.
        """
        others = [slot for slot in self._others() if not slot._gives_way]  # noqa: SLF001 - its own
        waits_for_us = [
            slot
            for slot in others
            if slot._flow_run_id in self._enclosing  # noqa: SLF001 - its own
            or (self._loop is not None and slot._loop is self._loop)  # noqa: SLF001 - its own
        ]
        if self._are_all(waits_for_us):
            raise SlotHeld(self._limit, [slot._name for slot in waits_for_us])  # noqa: SLF001 - its own
        within = self._within_seconds
        if self._loop is not None and self._are_all(others):
            within = min(within, WITHIN_ON_LOOP_SECONDS)
        if waited_seconds > within:
            who = self._who_holds(self._others())
            raise SlotUnavailable(self._limit, f"none was free within {waited_seconds:.0f} s.{who}")

    def _are_all(self, slots: "list[Slot]") -> bool:
        """Whether the limit has no more than these, as far as the API tells."""
        if not slots:
            return False
        try:
            with short_timeout_client() as client:
                limit = client.read_global_concurrency_limit_by_name(self._limit)
        except (httpx.HTTPError, ObjectNotFound):
            return False
        return len(slots) >= limit.limit

    def _others(self) -> "list[Slot]":
        return [slot for slot in list(_held) if slot._limit == self._limit]  # noqa: SLF001 - its own

    def _who_holds(self, slots: "list[Slot]") -> str:
        names = ", ".join(repr(slot._name) for slot in slots)  # noqa: SLF001 - its own
        return f" In this process it is held by flow run {names}." if names else ""

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
                _held.append(self)
                self._answered.set()
                try:
                    self._enough.wait()
                finally:
                    _held.remove(self)
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


@contextmanager
def asked_on_this_loop() -> Iterator[None]:
    """Have what is started inside, in a thread, know the event loop that waits, if one does."""
    token = _asked_on.set(running_loop())
    try:
        yield
    finally:
        _asked_on.reset(token)


class _LimitFull(Exception):
    """The limit has no free slot now."""
