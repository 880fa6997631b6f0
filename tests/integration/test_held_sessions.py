"""What the flow learns of its session while it is open, and what is left of it in the ledger."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event
from types import SimpleNamespace

import pytest
from prefect import flow, get_client
from prefect.states import Running

from prefect_qsession import current_session, sampler, session_flow
from prefect_qsession.config.modes import Mode
from prefect_qsession.emulator import Delay, Fault
from prefect_qsession.exceptions import LedgerUnavailable, SessionLost
from prefect_qsession.ibm.records import ServiceAccess
from prefect_qsession.prefect_api.owners import owner_through_api
from prefect_qsession.release.ledger import PrefectLedger
from prefect_qsession.release.safeguards import SafeguardedWorkload
from prefect_qsession.session.flow_run_sessions import current_flow_run_session
from prefect_qsession.settings import QSessionSettings
from tests.harness.releases import FOR_EVER
from tests.harness.waiting import wait_until
from tests.integration.conftest import flipped_qubit, one, outcomes

WITHIN_SECONDS = 3.0


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    """Let the monitor look more often than it does for users."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_MONITOR_EVERY", "0.1")
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_HEARTBEAT_EVERY", "0.1")


def test_a_service_that_is_silent_is_waited_for_once_and_told_of_once(
    block, emulator, monkeypatch, caplog
):
    """By the body's end and by the task runner's exit, together."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_RELEASE_WITHIN", str(WITHIN_SECONDS))
    ended: list[float] = []

    @session_flow(block, backend="ibm_manila")
    def silent() -> None:
        one()
        emulator.faults.add(Fault("/sessions/{id}", Delay(FOR_EVER), method="PATCH"))
        emulator.faults.add(Fault("/sessions/{id}/close", Delay(FOR_EVER), method="DELETE"))
        ended.append(time.monotonic())

    silent()

    assert WITHIN_SECONDS < time.monotonic() - ended[0] < 2 * WITHIN_SECONDS
    assert 1 == sum("no answer for" in record.getMessage() for record in caplog.records)


def test_a_session_whose_entry_is_taken_away_is_recorded_anew(block, emulator):
    """While it is open: the reaper would not know of it."""
    found = []

    @session_flow(block, backend="ibm_manila")
    def loses_its_entry() -> None:
        one()
        session_id = current_session().session_id
        PrefectLedger().forget(session_id)
        wait_until(lambda: PrefectLedger().find(session_id))
        found.append(session_id)

    loses_its_entry()

    assert [emulator.sessions[0].id] == found
    assert ["close"] == outcomes(emulator)
    assert PrefectLedger().find(found[0]) is None


def test_a_flow_learns_that_its_session_was_released_elsewhere(block, emulator):
    """By the heartbeat, before it asks for a job; and that job is told why there is none."""

    @session_flow(block, backend="ibm_manila")
    def released_by_hand() -> None:
        one()
        manager = current_flow_run_session("")._manager
        # As `qsession cancel` does it, in another process.
        current_session().cancel()
        PrefectLedger().forget(emulator.sessions[0].id)
        wait_until(lambda: manager.open_session is None)
        one(11)

    with pytest.raises(SessionLost, match="another process"):
        released_by_hand()
    assert 1 == len(emulator.sessions)


class LateLedger(PrefectLedger):
    """Is out when the session is opened, and takes its time when it is back."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.goes_on, self.recorded = Event(), Event(), Event()
        self._is_back = False

    def record(self, entry) -> None:
        if not self._is_back:
            self._is_back = True
            raise LedgerUnavailable("record", "out.")
        self.asked.set()
        self.goes_on.wait(timeout=30)
        super().record(entry)
        self.recorded.set()


@flow
def idle() -> None:
    """Do nothing."""


def test_a_record_that_comes_after_the_release_leaves_no_entry(monkeypatch):
    """It was under way when the session was released, and forgotten for nothing."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_REQUIRE_LEDGER", "false")
    ledger = LateLedger()
    inside = SimpleNamespace(session_id="late-1", mode=Mode.SESSION, close=lambda: None)
    with get_client(sync_client=True) as client:
        owner = owner_through_api(client.create_flow_run(idle, state=Running()))
    policy = QSessionSettings().resolve({})
    session = SafeguardedWorkload(inside, owner, policy, ledger, lambda: None)
    session.put_up(
        ServiceAccess("key", "crn", "http://127.0.0.1:9", "http://127.0.0.1:9"),
        "ibm_manila",
        None,
        look_inside=lambda: None,
        on_reason=lambda _: None,
        on_gone=lambda _: None,
        now=datetime.now(UTC),
    )
    assert ledger.asked.wait(timeout=30)

    session.close()
    ledger.goes_on.set()
    assert ledger.recorded.wait(timeout=30)

    wait_until(lambda: ledger.find("late-1") is None)


def test_a_session_is_released_while_a_cancelled_job_is_all_that_was_asked(block, emulator):
    """`idle_release` counts from there."""

    @session_flow(block, backend="ibm_manila", idle_release="1s")
    def cancels() -> list:
        one()
        circuit = flipped_qubit(5)
        jobs = [sampler().run([circuit], shots=shots) for shots in (20, 21)]
        for job in jobs:
            with suppress(Exception):
                job.cancel()
        wait_until(lambda: ["close"] == outcomes(emulator), seconds=20)
        return outcomes(emulator)

    assert ["close"] == cancels()


@pytest.mark.parametrize("how", ["forgotten", "read through client_job"])
def test_a_session_is_released_after_a_job_that_nobody_waits_for(block, emulator, how):
    """The service is asked now and then what is over."""

    @session_flow(block, backend="ibm_manila", idle_release="1s")
    def leaves_it() -> list:
        job = sampler().run([flipped_qubit(5)], shots=10)
        if how == "read through client_job":
            job.client_job.result()
        wait_until(lambda: ["close"] == outcomes(emulator), seconds=20)
        return outcomes(emulator)

    assert ["close"] == leaves_it()
