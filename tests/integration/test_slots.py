"""Slots of a Prefect global concurrency limit, on a real server."""

import asyncio
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest
from prefect import flow, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_qsession import session_flow
from prefect_qsession.exceptions import SlotHeld, SlotUnavailable, UnknownLimit
from prefect_qsession.session.slots import Slot
from tests.harness.waiting import wait_until
from tests.integration.conftest import one, outcomes

LOGGER = logging.getLogger("tests.slots")

WAITS_FOR_A_SLOT = """
import logging, sys, threading, uuid
from prefect_qsession.session.slots import Slot

waits = threading.Event()
logger = logging.getLogger("waiting")
logger.setLevel(logging.INFO)
logger.addFilter(lambda record: waits.set())
slot = Slot(sys.argv[1], uuid.uuid4(), logger, look_every_seconds=0.1)
threading.Thread(target=slot.take, daemon=True).start()
print("waited" if waits.wait(30) else "never")
"""


@pytest.fixture
def limit() -> str:
    """Create a limit of one slot, and return its name."""
    name = f"sessions-{uuid4()}"
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
    return name


def taken(limit: str) -> int:
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(limit).active_slots


def slot(limit: str, **options) -> Slot:
    return Slot(limit, uuid4(), LOGGER, look_every_seconds=0.1, **options)


def in_thread(function) -> Thread:
    """Run it in a thread that knows Prefect's settings."""
    thread = Thread(target=copy_context().run, args=(function,))
    thread.start()
    return thread


def test_a_slot_is_held_from_its_taking_to_its_release(limit):
    """And given back once, from any thread."""
    mine = slot(limit)

    assert mine.take()
    assert 1 == taken(limit)
    releasing = in_thread(mine.release)
    releasing.join()
    mine.release()
    assert 0 == taken(limit)


def test_who_comes_to_a_full_limit_waits_and_says_so_once(limit, caplog):
    """Until the other gives its slot back."""
    first, second = slot(limit), slot(limit)
    first.take()
    with caplog.at_level(logging.INFO, LOGGER.name), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(copy_context().run, second.take)
        wait_until(lambda: caplog.records)
        assert not waiting.done()
        first.release()
        assert waiting.result(timeout=30)

    assert 1 == sum("is full" in record.message for record in caplog.records)
    assert 1 == taken(limit)
    second.release()


def test_a_wait_ends_when_the_slot_is_no_longer_wanted(limit, caplog):
    """A flow run that is cancelled meanwhile gets none, and takes none from others."""
    first, second = slot(limit), slot(limit)
    first.take()
    with caplog.at_level(logging.INFO, LOGGER.name), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(copy_context().run, second.take)
        wait_until(lambda: caplog.records)
        second.release()
        assert not waiting.result(timeout=30)
    first.release()

    assert 0 == taken(limit)


def test_a_slot_that_an_enclosing_flow_run_holds_is_refused_at_once(limit):
    """It waits for this one: neither would ever go on."""
    parent = uuid4()
    outer = Slot(limit, parent, LOGGER, look_every_seconds=0.1, name="parent")
    outer.take()

    with pytest.raises(SlotHeld, match="'parent'") as refused:
        slot(limit, enclosing=[parent]).take()

    assert (("parent",), False) == (refused.value.held_by, refused.value.retryable)
    assert 1 == taken(limit)
    outer.release()


def test_a_slot_that_its_own_flow_run_holds_is_refused_at_once(limit):
    """By a session whose release was not confirmed, say."""
    mine = uuid4()
    outer = Slot(limit, mine, LOGGER, look_every_seconds=0.1)
    outer.take()

    with pytest.raises(SlotHeld):
        Slot(limit, mine, LOGGER, look_every_seconds=0.1).take()
    outer.release()


def test_two_flow_runs_of_one_event_loop_do_not_wait_for_each_other(limit):
    """The wait would stop the loop on which the other one has to go on."""

    async def both() -> None:
        first = slot(limit, name="first")
        first.take()
        try:
            slot(limit).take()
        finally:
            first.release()

    with pytest.raises(SlotHeld, match="'first'"):
        asyncio.run(both())


def test_an_enclosing_flow_run_that_gives_way_is_waited_for(limit):
    """Its session is closed when nothing was asked of it for some time, and its slot is free."""
    parent = uuid4()
    outer = Slot(limit, parent, LOGGER, look_every_seconds=0.1, gives_way=True)
    outer.take()
    inner = slot(limit, enclosing=[parent])

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(copy_context().run, inner.take)
        assert not waiting.done()
        outer.release()
        assert waiting.result(timeout=30)
    inner.release()


def test_a_limit_with_room_for_both_is_none_that_an_enclosing_flow_run_fills():
    """The rest is held by others, who give it back."""
    name = f"sessions-{uuid4()}"
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=2))
    parent = uuid4()
    outer = Slot(name, parent, LOGGER, look_every_seconds=0.1)
    other, inner = slot(name), slot(name, enclosing=[parent])
    outer.take()
    other.take()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(copy_context().run, inner.take)
        other.release()
        assert waiting.result(timeout=30)
    inner.release()
    outer.release()


def test_a_slot_is_not_waited_for_without_end(limit):
    """And the error says who holds it, if that is known here."""
    first = slot(limit, name="first")
    first.take()

    with pytest.raises(SlotUnavailable, match=r"none was free .* held by flow run 'first'") as late:
        slot(limit, within_seconds=0.2).take()

    assert late.value.retryable
    first.release()


def test_a_subflow_with_a_session_of_its_own_is_told_that_its_parent_has_the_slot(
    limit, block, emulator
):
    """The whole of it, with two flow runs."""

    @session_flow(block, backend="ibm_manila", concurrency_limit=limit)
    def inner() -> None:
        one()

    @session_flow(block, backend="ibm_manila", concurrency_limit=limit)
    def outer() -> None:
        one()
        inner()

    with pytest.raises(SlotHeld):
        outer()

    assert ["cancel"] == outcomes(emulator)
    assert 0 == taken(limit)


def test_a_limit_that_does_not_exist_is_an_error():
    """Not a limit that limits nothing; the message says how to make one."""
    with pytest.raises(UnknownLimit, match="prefect gcl create no-such-limit"):
        slot("no-such-limit").take()


def test_a_slot_outlives_the_attempt_of_the_flow_run_that_took_it(limit):
    """Prefect gives back what an attempt took; the session may be kept for the next one."""
    mine = slot(limit)

    @flow
    def takes_one() -> None:
        mine.take()

    takes_one()
    assert 1 == taken(limit)
    mine.release()
    assert 0 == taken(limit)


def test_an_api_that_is_out_is_an_error_of_its_own(limit):
    """Typed, and worth another try."""
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(SlotUnavailable) as refused,
    ):
        slot(limit).take()

    assert refused.value.retryable


def test_a_process_that_waits_for_a_slot_can_end(limit):
    """Nothing of the waiting holds it back."""
    first = slot(limit)
    first.take()
    with get_client(sync_client=True) as client:
        url = str(client.api_url)
    ended = subprocess.run(
        [sys.executable, "-c", WAITS_FOR_A_SLOT, limit],
        env={"PREFECT_API_URL": url, "HOME": str(Path.cwd())},
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    first.release()

    assert (0, "waited") == (ended.returncode, ended.stdout.strip()), ended.stderr
