"""Slots of a Prefect global concurrency limit, on a real server."""

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

from prefect_qsession.exceptions import SlotUnavailable, UnknownLimit
from prefect_qsession.session.slots import Slot
from tests.harness.waiting import wait_until

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


def slot(limit: str) -> Slot:
    return Slot(limit, uuid4(), LOGGER, look_every_seconds=0.1)


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
