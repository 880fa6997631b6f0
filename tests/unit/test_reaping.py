"""Which sessions are reaped: the table, and the looks it is taken from."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from prefect_qsession.exceptions import (
    LedgerUnavailable,
    ServiceError,
    ServiceUnavailable,
    UnknownBlock,
)
from prefect_qsession.ibm.records import WorkloadDetails
from prefect_qsession.release.reaping import DECISIONS, FlowRunStatus, Reaper, flow_run_status
from prefect_qsession.release.records import FlowRunProgress, Liveness
from prefect_qsession.release.releasing import Releaser
from prefect_qsession.states import Release
from tests.memory_ledger import THEN, MemoryLedger, make_entry

CLOSE = ("close",) * 6
CANCEL = ("cancel",) * 6
IF_GONE = ("keep", "keep", "cancel", "cancel", "keep", "keep")
IF_GONE_OR_SILENT = ("keep", "keep", "cancel", "cancel", "keep", "cancel")

EXPECTED = {
    # Alive and heard of, alive and silent; gone and heard of, gone and silent; unknown likewise.
    "completed": CLOSE,
    "failed": CANCEL,
    "cancelled": CANCEL,
    "crashed": IF_GONE_OR_SILENT,
    "unfinished": IF_GONE,
    "in a later attempt": IF_GONE_OR_SILENT,
    "missing": IF_GONE_OR_SILENT,
}
LOOKS = list(itertools.product(["alive", "gone", "unknown"], [False, True]))


@dataclass
class Service:
    """An instance that notes what is asked of its sessions, and fails as it is told to."""

    instance_crn: str = make_entry().instance_crn
    states: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    errors: dict[str, Exception] = field(default_factory=dict)
    searches: int = 0

    def find(self, session_id):
        self.searches += 1
        if session_id in self.errors:
            raise self.errors[session_id]
        return Session(self, session_id) if session_id in self.states else None


@dataclass
class Session:
    """A session of that instance."""

    service: Service
    session_id: str

    def close(self):
        self.service.asked.append(("close", self.session_id))

    def cancel(self):
        self.service.asked.append(("cancel", self.session_id))

    def details(self):
        state = self.service.states[self.session_id]
        return WorkloadDetails(
            self.session_id,
            backend_name="ibm_manila",
            state=state,
            is_active=state == "active",
            is_closed=state == "closed",
            accepting_jobs=state != "closed",
            started_at=None,
            usage_seconds=None,
        )


class House:
    """A ledger, a service and processes, and a reaper among them."""

    def __init__(self):
        self.ledger = MemoryLedger()
        self.service = Service()
        self.processes = {}
        self.connected = []
        self.waited = []
        self.meanwhile = lambda: None
        self.now = THEN

    def session(self, state_type="RUNNING", process="unknown", run_count=1, **changes):
        """Open a session whose flow run and process stand so; `state_type` None: no flow run."""
        identity = replace(make_entry().process, pid=len(self.processes))
        entry = make_entry(process=identity, **changes)
        self.ledger.record(entry)
        self.service.states[entry.session_id] = "active"
        self.processes[identity] = Liveness(process)
        if state_type:
            self.ledger.progress[entry.flow_run_id] = FlowRunProgress(state_type, run_count)
        return entry

    def connect(self, name):
        self.connected.append(name)
        return self.service

    def wait(self, seconds):
        self.waited.append(seconds)
        self.meanwhile()

    @property
    def releaser(self):
        return Releaser(self.ledger, self.connect)

    def reap(self, flow_run_id=None):
        reaper = Reaper(self.ledger, self.processes.__getitem__, self.releaser)
        return reaper.reap(self.wait, 50.0, self.now, flow_run_id)

    def results(self):
        return [str(reaped.result) for reaped in self.reap()]


@pytest.fixture
def house() -> House:
    return House()


@pytest.mark.parametrize("standing", FlowRunStatus, ids=str)
@pytest.mark.parametrize(("process", "silent"), LOOKS)
def test_the_decision_on_every_pair_of_flow_run_and_process(standing, process, silent):
    """Each verdict is the one that is written down here, once more."""
    expected = EXPECTED[standing.value][LOOKS.index((process, silent))]

    assert expected == DECISIONS[standing, Liveness(process), silent]


@pytest.mark.parametrize(
    ("state_type", "run_count", "expected"),
    [
        ("COMPLETED", 1, "completed"),
        ("COMPLETED", 3, "completed"),
        ("FAILED", 2, "failed"),
        ("CANCELLED", 2, "cancelled"),
        ("CRASHED", 2, "crashed"),
        ("CANCELLING", 2, "unfinished"),
        ("PAUSED", 2, "unfinished"),
        ("SCHEDULED", 2, "unfinished"),
        (None, 0, "unfinished"),
        ("RUNNING", 2, "unfinished"),
        ("RUNNING", 3, "in a later attempt"),
    ],
)
def test_where_a_flow_run_stands(state_type, run_count, expected):
    """Every type of state there is, seen from the second attempt."""
    progress = FlowRunProgress(state_type, run_count)

    assert expected == flow_run_status(make_entry(attempt=2), progress)


def test_a_flow_run_that_is_not_there_is_missing():
    """It was deleted, or never in this API."""
    assert FlowRunStatus.MISSING == flow_run_status(make_entry(), None)


@pytest.mark.parametrize(
    ("state_type", "asked"), [("COMPLETED", "close"), ("FAILED", "cancel"), ("CANCELLED", "cancel")]
)
def test_what_is_over_is_released_and_forgotten_at_once(house, state_type, asked):
    """Nothing is waited for where the flow run's end says all."""
    entry = house.session(state_type, "alive")

    assert ["released"] == house.results()
    assert [(asked, entry.session_id)] == house.service.asked
    assert ({}, []) == (house.ledger.kept, house.waited)


def test_a_running_flow_run_keeps_its_session(house):
    """Also if its process cannot be seen and is silent; nobody is asked anything but the ledger."""
    house.session("RUNNING", "alive")
    house.session("RUNNING", "unknown")

    assert ["kept", "kept"] == house.results()
    assert ["entries", "flow_runs"] == house.ledger.asked
    assert ([], []) == (house.connected, house.waited)


@pytest.mark.parametrize("state_type", ["RUNNING", "CRASHED", None])
def test_a_process_that_is_gone_loses_its_session(house, state_type):
    """It needs no patience."""
    entry = house.session(state_type, "gone")

    assert ["released"] == house.results()
    assert ([("cancel", entry.session_id)], []) == (house.service.asked, house.waited)


@pytest.mark.parametrize("state_type", ["CRASHED", None])
def test_silence_from_elsewhere_is_waited_for_once(house, state_type):
    """However many are in doubt, the wait is one."""
    house.session(state_type)
    house.session(state_type)

    assert ["released", "released"] == house.results()
    assert [50.0] == house.waited


def test_a_heartbeat_during_the_wait_keeps_the_session(house):
    """Prefect takes it for crashed, but its process beats."""
    entry = house.session("CRASHED")
    house.meanwhile = lambda: house.ledger.beat(entry)

    assert ["kept"] == house.results()
    assert [] == house.service.asked


def test_a_heartbeat_after_the_wait_keeps_the_session_still(house):
    """The look right before the release is a look at the heartbeat, too."""
    entry = house.session("CRASHED")
    find = house.ledger.find

    def beat_and_find(session_id):
        house.ledger.beat(entry)
        return find(session_id)

    house.ledger.find = beat_and_find

    assert ["kept"] == house.results()
    assert [] == house.service.asked


def test_those_that_need_no_patience_do_not_wait_for_those_that_do(house):
    """What is over is released before the wait."""
    over = house.session("FAILED")
    doubtful = house.session("CRASHED")
    before = []
    house.meanwhile = lambda: before.extend(house.service.asked)
    house.reap()

    assert [("cancel", over.session_id)] == before
    assert [("cancel", over.session_id), ("cancel", doubtful.session_id)] == house.service.asked


def test_a_flow_run_that_goes_on_meanwhile_keeps_its_session(house):
    """Another look comes right before the release, and it sees a later attempt that took over."""
    entry = house.session("RUNNING", "gone")
    find = house.ledger.find
    process = replace(entry.process, pid=1000)
    house.processes[process] = Liveness.ALIVE

    def adopt_and_find(session_id):
        house.ledger.record(replace(entry, process=process, attempt=2))
        return find(session_id)

    house.ledger.find = adopt_and_find

    assert ["kept"] == house.results()
    assert [] == house.service.asked


def test_what_has_left_the_ledger_meanwhile_is_left_alone(house):
    """The flow's own process, or another reaper, was first."""
    entry = house.session("CRASHED")
    house.meanwhile = lambda: house.ledger.forget(entry.session_id)

    assert ["over"] == house.results()
    assert [] == house.service.asked


@pytest.mark.parametrize("known", ["closed", None])
def test_what_the_service_has_ended_is_forgotten(house, known):
    """Nothing is asked of a session that is closed, or that the service has never heard of."""
    entry = house.session("FAILED")
    if known:
        house.service.states[entry.session_id] = known
    else:
        del house.service.states[entry.session_id]

    assert ["over"] == house.results()
    assert ([], {}) == (house.service.asked, house.ledger.kept)


def test_one_failure_does_not_keep_the_others_open(house):
    """The one that fails stays in the ledger, for the next pass, and is told of."""
    stubborn = house.session("FAILED")
    house.session("FAILED")
    house.service.errors[stubborn.session_id] = ServiceError("it said no", status_code=500)
    [first, second] = house.reap()

    assert ("failed", "released") == (first.result, second.result)
    assert (True, False) == (first.wants_attention, second.wants_attention)
    assert "it said no" in str(first)
    assert [stubborn.session_id] == list(house.ledger.kept)


def test_the_words_of_a_foreign_error_are_not_repeated(house):
    """They might hold a secret."""
    entry = house.session("FAILED")
    house.service.errors[entry.session_id] = ValueError("the key is hunter2")
    [reaped] = house.reap()

    assert "failed" == reaped.result
    assert ("ValueError" in str(reaped), "hunter2" in str(reaped)) == (True, False)


def test_a_service_out_of_reach_is_asked_once_in_a_pass(house):
    """Each attempt may last a minute; the others of the block fail with the same words."""
    for _ in range(3):
        entry = house.session("FAILED")
        house.service.errors[entry.session_id] = ServiceUnavailable("no way", retryable=True)

    assert ["failed"] * 3 == house.results()
    assert 1 == house.service.searches


def test_each_credentials_block_is_connected_with_once(house):
    """However many sessions it has."""
    for block in ("one", "two", "one"):
        house.session("FAILED", credentials=block)
    house.reap()

    assert ["one", "two"] == house.connected


def test_unsaved_credentials_keep_the_session(house):
    """Only the flow's own process and its guardian have them."""
    house.session("FAILED", credentials=None)
    [reaped] = house.reap()

    assert ("kept", Release.CANCEL, True) == (
        reaped.result,
        reaped.outcome,
        reaped.wants_attention,
    )
    assert "not saved" in reaped.reason
    assert 1 == len(house.ledger.kept)


def test_a_block_that_is_gone_keeps_the_session(house):
    """There is no way to the service; it says which block to save."""
    house.session("FAILED", credentials="lost")

    def connect(name):
        raise UnknownBlock(name)

    house.connect = connect
    [reaped] = house.reap()

    assert ("kept", True) == (reaped.result, reaped.wants_attention)
    assert "'lost'" in reaped.reason


def test_a_block_of_another_instance_does_not_lose_the_session(house):
    """Asked of the wrong instance, the session would seem to be over."""
    house.session("FAILED", instance_crn="crn:another")
    [reaped] = house.reap()

    assert "kept" == reaped.result
    assert "another instance" in reaped.reason
    assert (0, 1) == (house.service.searches, len(house.ledger.kept))


def test_a_ledger_that_fails_at_the_second_look_stops_nothing_before(house):
    """What was done is told; what was in doubt is left for the next pass."""
    house.session("FAILED")
    house.session("CRASHED")

    def entries(_flow_run_id):
        raise LedgerUnavailable("read the entries", "it is down.")

    def fail():
        house.ledger.entries = entries

    house.meanwhile = fail

    assert ["released", "failed"] == house.results()


def test_only_the_sessions_of_one_flow_run_are_reaped_if_asked_so(house):
    """Its own, and those of its subflows."""
    root = house.session("CRASHED", "gone")
    child = house.session("CRASHED", "gone", root_flow_run_id=root.flow_run_id)
    other = house.session("CRASHED", "gone")
    house.reap(root.flow_run_id)

    assert {("cancel", root.session_id), ("cancel", child.session_id)} == set(house.service.asked)
    assert [other.session_id] == list(house.ledger.kept)


def test_two_reapers_at_once_do_no_harm(house):
    """The second finds the session closed, or nothing at all."""
    entry = house.session("FAILED")
    first, second = house.releaser, house.releaser
    results = [first.release(entry, Release.CANCEL, "")]
    house.service.states[entry.session_id] = "closed"
    results += [second.release(entry, Release.CANCEL, "")]

    assert ["released", "over"] == [reaped.result for reaped in results]
    assert {} == house.ledger.kept


@pytest.mark.parametrize("result", ["released", "over"])
def test_a_session_that_cannot_be_forgotten_counts_as_released(house, result):
    """The money is safe; the next pass finds it over and forgets it."""
    entry = house.session("FAILED")
    if result == "over":
        house.service.states[entry.session_id] = "closed"

    def forget(_session_id):
        raise LedgerUnavailable("forget", "it is down.")

    house.ledger.forget = forget
    [reaped] = house.reap()

    assert result == reaped.result
    assert "it is down" in reaped.reason


@pytest.mark.parametrize(("late", "expected"), [(0, "kept"), (1, "over")])
def test_what_is_kept_past_its_deadline_is_asked_after(house, late, expected):
    """A machine died and nobody knows; the service has long ended the session by itself."""
    entry = house.session("RUNNING", "unknown")
    house.service.states[entry.session_id] = "closed"
    house.now = entry.deadline + timedelta(seconds=late)

    assert [expected] == house.results()
    assert ([], late) == (house.service.asked, 1 - len(house.ledger.kept))


@pytest.mark.parametrize("process", ["alive", "unknown"])
def test_a_session_that_lives_past_its_deadline_is_not_touched(house, process):
    """It waited in the queue; its time began later."""
    entry = house.session("RUNNING", process)
    house.now = entry.deadline + timedelta(days=1)

    assert ["kept"] == house.results()
    assert ([], [entry.session_id]) == (house.service.asked, list(house.ledger.kept))
