"""How a session is held over retries and pauses, and let go when the API or the service fails."""

import asyncio
import threading
import time
from contextlib import suppress
from uuid import UUID

import pytest
from prefect import get_client, runtime
from prefect.flow_runs import pause_flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Running

from prefect_qsession import current_backend, session_flow
from prefect_qsession.emulator import Answer, Delay, Fault
from prefect_qsession.exceptions import LedgerUnavailable
from prefect_qsession.release.guardian import guardian
from prefect_qsession.release.ledger import PrefectLedger
from prefect_qsession.session import flow_run_sessions
from tests.harness.waiting import wait_until
from tests.integration.conftest import measure_one, one, outcomes
from tests.integration.session_flows import Boom, both_ways


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    """Let the monitor look more often than it does for users."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_MONITOR_EVERY", "0.2")
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_HEARTBEAT_EVERY", "0.4")


@both_ways
def test_a_retried_flow_run_keeps_its_session(session, block, emulator):
    """The next attempt begins at once, in the session of the one that failed."""
    attempts: list[int] = []

    @session(block, retries=1)
    def fails_once() -> None:
        measure_one(10 + len(attempts))
        attempts.append(1)
        if len(attempts) == 1:
            raise Boom

    fails_once()

    assert ["close"] == outcomes(emulator)
    assert 2 == len(emulator.jobs)


@both_ways
def test_a_kept_session_is_released_by_an_attempt_that_needs_none(session, block, emulator):
    """Also an attempt that never looks for its session ends it."""
    attempts: list[int] = []

    @session(block, retries=1)
    def fails_once() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            measure_one()
            raise Boom

    fails_once()

    assert ["close"] == outcomes(emulator)


@both_ways
def test_the_last_attempt_cancels_the_kept_session(session, block, emulator):
    """When every attempt fails, the flow run has failed."""

    @session(block, retries=1)
    def fails() -> None:
        measure_one()
        raise Boom

    with pytest.raises(Boom):
        fails()
    assert ["cancel"] == outcomes(emulator)


def test_a_session_kept_for_an_attempt_that_never_began_is_not_used_by_another_flow_run(
    block, emulator
):
    """Prefect's server was gone between two attempts, say, and the script goes on with a flow."""

    @session_flow(block, backend="ibm_manila")
    def another() -> None:
        one()

    @session_flow(block, backend="ibm_manila")
    def kept() -> None:
        one()
        flow_run_sessions._waiting.set(flow_run_sessions.current_flow_run_session("")._manager)
        another()

    kept()

    assert ["cancel", "close"] == outcomes(emulator)
    assert [1, 1] == [len(session.job_ids) for session in emulator.sessions]


@both_ways
def test_a_retry_that_begins_later_than_allowed_has_a_session_of_its_own(
    session, block, emulator, monkeypatch
):
    """The session is closed for the time of the delay, not held through it."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_KEEP_FOR_RETRY", "1")
    attempts: list[list[str | None]] = []

    @session(block, retries=1, retry_delay_seconds=2)
    def fails_once() -> None:
        attempts.append(outcomes(emulator))
        measure_one(10 + len(attempts))
        if len(attempts) == 1:
            raise Boom

    fails_once()

    assert [[], ["close"]] == attempts
    assert ["close", "close"] == outcomes(emulator)


@both_ways
def test_a_pause_closes_the_session_and_the_resumed_run_opens_another(session, block, emulator):
    """A flow run that waits for a person holds no QPU meanwhile."""

    def resume_once_closed(flow_run_id: UUID) -> None:
        wait_until(lambda: ["close"] == outcomes(emulator))
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run_id, Running(), force=True)

    @session(block)
    def asks() -> None:
        measure_one()
        helper = threading.Thread(target=resume_once_closed, args=(UUID(runtime.flow_run.id),))
        helper.start()
        pause_flow_run(timeout=60, poll_interval=1)
        helper.join()
        measure_one()

    asks()

    assert ["close", "close"] == outcomes(emulator)


@both_ways
def test_a_script_whose_run_is_cancelled_in_the_ui_loses_its_session_at_once(
    session, block, emulator
):
    """Nobody tells its process; the monitor notices."""
    seen: list[bool] = []

    @session(block)
    def never_told() -> None:
        measure_one()
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(runtime.flow_run.id), Cancelling(), force=True)
        wait_until(lambda: ["cancel"] == outcomes(emulator))
        seen.append(True)

    never_told(return_state=True)

    assert [True] == seen


def test_a_session_that_a_task_of_an_async_flow_opened_is_followed_after_that_task(block, emulator):
    """Prefect closes the client of a task run with it; the monitor has one of its own."""

    @session_flow(block, backend="ibm_manila")
    async def never_told() -> None:
        await asyncio.to_thread(measure_one)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(runtime.flow_run.id), Cancelling(), force=True)
        await asyncio.to_thread(wait_until, lambda: ["cancel"] == outcomes(emulator), 20)

    asyncio.run(never_told(return_state=True))

    assert ["cancel"] == outcomes(emulator)


@both_ways
def test_a_time_limit_whose_error_is_swallowed_cancels_all_the_same(session, block, emulator):
    """Prefect raises an error in the flow's thread, once; the flow goes on if that gets lost."""
    seen: list[bool] = []

    @session(block, timeout_seconds=8)
    def goes_on() -> None:
        one()
        with suppress(BaseException):
            wait_until(lambda: False)
        wait_until(lambda: ["cancel"] == outcomes(emulator))
        seen.append(True)

    goes_on(return_state=True)

    assert [True] == seen


@both_ways
def test_an_open_session_is_in_the_ledger_until_it_is_released(session, block, emulator):
    """Recorded with its owner before the first job, forgotten after the last."""
    seen = []

    @session(block)
    def one_job() -> str:
        one()
        [entry] = PrefectLedger().entries(UUID(runtime.flow_run.id))
        wait_until(lambda: PrefectLedger().find(entry.session_id).beat > 0)
        seen.append(entry)
        return runtime.flow_run.id

    flow_run_id = one_job()

    [entry] = seen
    assert UUID(flow_run_id) == entry.flow_run_id == entry.root_flow_run_id
    assert emulator.sessions[0].id == entry.session_id
    assert block == entry.credentials
    assert [] == PrefectLedger().entries(UUID(flow_run_id))


@both_ways
def test_a_flow_run_with_a_session_is_tagged(session, block, emulator):
    """People filter by its backend and mode, too."""

    @session(block, name="tagged")
    def one_job() -> str:
        one()
        return runtime.flow_run.id

    with get_client(sync_client=True) as client:
        flow_run_id = UUID(one_job())
        tags = {"qsession", "backend:ibm_manila", "mode:session"}
        # These are set beside the flow, not before its first job.
        wait_until(lambda: tags == set(client.read_flow_run(flow_run_id).tags))


@both_ways
def test_nobody_guards_when_no_session_is_open(session, block, emulator):
    """The guardian is there while a session is, and no longer."""
    seen = []

    @session(block)
    def one_job() -> None:
        one()
        seen.append(guardian().pid)

    one_job()

    assert seen[0]
    assert None is guardian().pid


@both_ways
def test_a_session_that_cannot_be_recorded_is_cancelled_before_its_first_job(
    session, block, emulator
):
    """The API is gone when the session opens: refused, with what to do."""

    @session(block)
    def one_job() -> None:
        current_backend()
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
            one()

    with pytest.raises(LedgerUnavailable, match="REQUIRE_LEDGER"):
        one_job()
    assert ["cancel"] == outcomes(emulator)
    assert [] == emulator.jobs


@both_ways
def test_the_policy_may_go_on_without_the_ledger(session, block, emulator, monkeypatch):
    """With the guardian and `max_time` as the net, and closed at the end as ever."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_REQUIRE_LEDGER", "false")

    @session(block)
    def one_job() -> int:
        current_backend()
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
            return one()

    assert 1 == one_job()
    assert ["close"] == outcomes(emulator)


@both_ways
def test_a_close_that_the_service_fails_is_repeated(session, block, emulator):
    """The client does not repeat a PATCH; we do."""
    emulator.faults.add(Fault("/sessions/{id}", Answer(503), method="PATCH", count=2))

    @session(block)
    def one_job() -> None:
        one()

    one_job()

    assert ["close"] == outcomes(emulator)


def test_a_service_that_never_answers_the_release_does_not_hold_the_flow(
    block, emulator, monkeypatch, caplog
):
    """After the time that the policy allows, the flow run ends, and the log says what is open."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_RELEASE_WITHIN", "1")
    emulator.faults.add(Fault("/sessions/{id}", Delay(600.0), method="PATCH"))

    @session_flow(block, backend="ibm_manila")
    def one_job() -> None:
        one()

    started = time.monotonic()
    one_job()

    assert 60 > time.monotonic() - started
    assert any("may still be open" in record.message for record in caplog.records)
    [entry] = PrefectLedger().entries()
    assert emulator.sessions[0].id == entry.session_id
