"""The reaper among real servers: sessions that nobody else will release, judged by the record."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect import flow, get_client
from prefect.states import Cancelled, Completed, Crashed, Failed, Running
from qiskit_ibm_runtime import Batch, Session

from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.ibm.released import ServiceInstance, find_session
from prefect_qsession.ibm.service import connect
from prefect_qsession.reaper import reap_sessions, release_recorded
from prefect_qsession.release.ledger import PrefectLedger
from prefect_qsession.release.processes import identity_of, this_process
from prefect_qsession.release.records import LedgerEntry, ProcessIdentity
from prefect_qsession.states import Release
from tests.integration.conftest import outcomes

ELSEWHERE = ProcessIdentity("elsewhere", 1, "another-boot", "pid:[1]", 99)


@flow
def nothing() -> None:
    """Stand for a flow run that this process does not run."""


@pytest.fixture
def service(emulator):
    return connect(QiskitRuntimeCredentials.from_environment(emulator.environment()).account())


@pytest.fixture
def gone() -> ProcessIdentity:
    """Return the identity of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    identity = identity_of(process.pid)
    process.communicate()
    return identity


@pytest.fixture
def leave_open(service, block):
    """Open a session whose flow run is in a given state, and record it."""
    backend = service.backend("ibm_manila")

    def leave(state, process=None, **changes) -> LedgerEntry:
        with get_client(sync_client=True) as client:
            flow_run = client.create_flow_run(nothing)
            client.set_flow_run_state(flow_run.id, state, force=True)
        entry = LedgerEntry(
            session_id=Session(backend=backend, max_time=600).session_id,
            backend_name=backend.name,
            instance_crn=service.active_instance(),
            credentials=block,
            flow_run_id=flow_run.id,
            flow_run_name=flow_run.name,
            root_flow_run_id=flow_run.id,
            attempt=1,
            process=process or this_process(),
            opened_at=datetime.now(UTC),
            max_time_seconds=600,
        )
        entry = replace(entry, **changes)
        PrefectLedger().record(entry)
        return entry

    return leave


def reap(entry, wait=lambda _seconds: None):
    """Reap the sessions of one flow run only: the ledger is that of all tests."""
    return reap_sessions(flow_run_id=entry.flow_run_id, wait=wait)


@pytest.mark.parametrize(
    ("state", "expected"),
    [(Completed(), "close"), (Failed(), "cancel"), (Cancelled(), "cancel")],
    ids=["completed", "failed", "cancelled"],
)
def test_a_session_is_released_as_its_flow_run_ended(state, expected, leave_open, emulator):
    """And then it is no longer in the ledger."""
    entry = leave_open(state)
    [reaped] = reap(entry)

    assert "released" == reaped.result
    assert [expected] == outcomes(emulator)
    assert PrefectLedger().find(entry.session_id) is None


@pytest.mark.parametrize("state", [Running(), Crashed()], ids=["running", "crashed"])
def test_the_session_of_a_dead_process_is_cancelled(state, gone, leave_open, emulator):
    """Also if nobody has told Prefect of the death."""
    entry = leave_open(state, gone)
    reap(entry)

    assert ["cancel"] == outcomes(emulator)
    assert PrefectLedger().find(entry.session_id) is None


@pytest.mark.parametrize(
    ("state", "process"),
    [(Running(), None), (Crashed(), None), (Running(), ELSEWHERE)],
    ids=["running here", "crashed by mistake", "running elsewhere"],
)
def test_a_session_that_may_be_in_use_is_kept(state, process, leave_open, emulator):
    """It is not even told of."""
    entry = leave_open(state, process)
    waited = []

    assert [] == reap(entry, waited.append)
    assert [True] == [session.accepting_jobs for session in emulator.sessions]
    assert ([], True) == (waited, PrefectLedger().find(entry.session_id) is not None)


def test_a_crashed_flow_run_elsewhere_that_is_silent_is_cancelled(leave_open, emulator):
    """It is given two and a half heartbeats."""
    entry = leave_open(Crashed(), ELSEWHERE)
    waited = []
    reap(entry, waited.append)

    assert [50.0] == waited
    assert ["cancel"] == outcomes(emulator)


def test_a_crashed_flow_run_elsewhere_that_beats_is_kept(leave_open, emulator):
    """The crash was a false alarm."""
    entry = leave_open(Crashed(), ELSEWHERE)

    assert [] == reap(entry, lambda _seconds: PrefectLedger().beat(entry))
    assert [None] == outcomes(emulator)


def test_two_reapers_at_once_cancel_a_session_once(leave_open, emulator):
    """Whoever is second finds it over, or out of the ledger."""
    entry = leave_open(Failed())
    with ThreadPoolExecutor(2) as threads:
        # Each in the settings of this context, which a thread does not inherit.
        calls = [threads.submit(copy_context().run, reap, entry) for _ in range(2)]
        results = [reaped.result for call in calls for reaped in call.result()]

    assert set(results) <= {"released", "over"}
    assert ["cancel"] == outcomes(emulator)
    assert PrefectLedger().find(entry.session_id) is None


def test_what_is_asked_for_is_released_whatever_the_flow_run_does(leave_open, emulator):
    """Running, in a living process: the caller knows better."""
    entry = leave_open(Running())
    [reaped] = release_recorded(PrefectLedger().entries(entry.flow_run_id), Release.CANCEL)

    assert "released" == reaped.result
    assert entry.flow_run_name in str(reaped)
    assert ["cancel"] == outcomes(emulator)


def test_a_session_that_the_service_has_closed_is_forgotten(leave_open, emulator, service):
    """The flow's process died between the service's word and the ledger's."""
    entry = leave_open(Running())
    find_session(service, entry.session_id).close()
    [reaped] = release_recorded([entry], Release.CANCEL)

    assert "over" == reaped.result
    assert ["close"] == outcomes(emulator)
    assert PrefectLedger().find(entry.session_id) is None


def test_a_session_that_the_service_has_forgotten_is_forgotten(leave_open):
    """An emulator that was started again knows nothing of it."""
    session_id = str(uuid4())
    entry = leave_open(Failed(), session_id=session_id)
    [reaped] = reap(entry)

    assert "over" == reaped.result
    assert PrefectLedger().find(session_id) is None


def test_a_block_that_is_gone_keeps_the_session_in_the_ledger(leave_open, block):
    """It says which block is missing."""
    entry = leave_open(Failed())
    QiskitRuntimeCredentials.delete(block)
    [reaped] = reap(entry)

    assert ("kept", True) == (reaped.result, reaped.wants_attention)
    assert block in reaped.reason
    assert PrefectLedger().find(entry.session_id) is not None


def test_a_block_of_another_instance_keeps_the_session_in_the_ledger(leave_open, emulator):
    """Nothing is asked of the service with it."""
    entry = leave_open(Failed(), instance_crn="crn:v1:another")
    [reaped] = reap(entry)

    assert ("kept", True) == (reaped.result, reaped.wants_attention)
    assert [None] == outcomes(emulator)
    assert PrefectLedger().find(entry.session_id) is not None


def test_a_refused_key_fails_the_release_and_is_not_told(leave_open, save_block, emulator):
    """The next pass tries again."""
    entry = leave_open(Failed(), credentials=save_block(emulator, api_key="revoked-secret"))
    [reaped] = reap(entry)

    assert ("failed", True) == (reaped.result, reaped.wants_attention)
    assert "revoked-secret" not in str(reaped)
    assert PrefectLedger().find(entry.session_id) is not None


def test_a_batch_is_released_as_a_session_is(leave_open, service, emulator):
    """What a flow run opened in the place of a session is left open as easily."""
    batch = Batch(backend=service.backend("ibm_manila"))
    entry = leave_open(Failed(), session_id=batch.session_id)
    [reaped] = reap(entry)

    assert "released" == reaped.result
    assert ["cancel"] == [s.ended_by for s in emulator.sessions if s.mode == "batch"]


def test_an_instance_knows_its_crn_and_its_sessions(service, leave_open, emulator):
    """What another process opened is found, what nobody opened is not."""
    instance = ServiceInstance(service)
    entry = leave_open(Running())
    found = instance.find(entry.session_id)

    assert emulator.settings.instances[0].crn == instance.instance_crn
    assert (entry.session_id, "ibm_manila") == (found.session_id, found.details().backend_name)
    assert instance.find(str(uuid4())) is None
