"""What a flow's options do to its sessions: modes, reopening, budgets, idle release."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from prefect import get_client

from prefect_qsession import session_flow
from prefect_qsession.emulator import Answer, Fault, InstanceSettings, TimingSettings
from prefect_qsession.exceptions import BudgetExceeded, SessionLost, SessionRefused
from tests.harness.waiting import wait_until
from tests.integration.conftest import measure_one, one, outcomes
from tests.integration.session_flows import Boom
from tests.integration.test_reattachment import ask

MODES = ["session", "batch", "job", "auto"]
ON_PREMIUM = {"session": ["dedicated"], "batch": ["batch"], "job": [], "auto": ["dedicated"]}
ON_OPEN = {"batch": ["batch"], "job": [], "auto": ["batch"]}


@pytest.fixture
def on_plan(make_emulator, save_block):
    """Start an emulator of a plan, and save a block for it."""

    def start(plan, **settings):
        emulator = make_emulator(instances=(InstanceSettings(plan=plan),), **settings)
        return emulator, save_block(emulator)

    return start


@pytest.fixture
def slow(make_emulator, save_block):
    """Start an emulator whose jobs take a minute of a clock that the test moves."""
    emulator = make_emulator(timing=TimingSettings(fixed_seconds=60), hand_clock=True)
    return emulator, save_block(emulator)


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    """Let the monitor look more often than it does for users."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_MONITOR_EVERY", "0.1")


@pytest.mark.parametrize("mode", MODES)
def test_a_premium_plan_runs_every_mode(on_plan, mode):
    """Each flow run has what it asked for, and its job is run."""
    emulator, block = on_plan("premium")

    @session_flow(block, backend="ibm_manila", mode=mode)
    def runs() -> int:
        return one()

    assert 1 == runs()
    assert ON_PREMIUM[mode] == [session.mode for session in emulator.sessions]
    assert ["close"] * len(ON_PREMIUM[mode]) == outcomes(emulator)
    assert ["Completed"] == [job.status for job in emulator.jobs]


@pytest.mark.parametrize("mode", ON_OPEN)
def test_an_open_plan_runs_what_it_allows(on_plan, mode):
    """Auto finds out that there are no sessions, and takes a batch."""
    emulator, block = on_plan("open")

    @session_flow(block, backend="ibm_manila", mode=mode, max_time="10m")
    def runs() -> list[int]:
        return [measure_one(), measure_one(20)]

    assert [1, 1] == runs()
    assert ON_OPEN[mode] == [session.mode for session in emulator.sessions]


def test_an_open_plan_refuses_the_session_that_was_insisted_on(on_plan):
    """With the service's own code, before any job."""
    emulator, block = on_plan("open")

    @session_flow(block, backend="ibm_manila")
    def runs() -> None:
        one()

    with pytest.raises(SessionRefused, match="1352"):
        runs()
    assert [] == emulator.jobs


def test_auto_says_why_it_took_another_mode(on_plan, caplog):
    """Once, with the refusal of the service; a batch of an hour is refused as well."""
    emulator, block = on_plan("open")

    @session_flow(block, backend="ibm_manila", mode="auto", max_time="1h")
    def runs() -> None:
        measure_one()
        measure_one(20)

    runs()

    told = [entry.getMessage() for entry in caplog.records if "so trying" in entry.getMessage()]
    assert 2 == len(told)
    assert "No session here, so trying a batch" in told[0]
    assert "1352" in told[0]
    assert [] == emulator.sessions
    assert 2 == len(emulator.jobs)


def test_a_failed_flow_run_in_job_mode_drops_the_jobs_that_wait(slow):
    """The one that runs is finished; nothing else is paid."""
    emulator, block = slow

    @session_flow(block, backend="ibm_manila", mode="job")
    def fails() -> None:
        ask(10)
        ask(20)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    emulator.clock.advance(3600)
    assert ["Completed", "Cancelled"] == [job.status for job in emulator.jobs]


@pytest.mark.parametrize("after_work", [False, True], ids=["not opened", "opened"])
def test_a_request_to_open_that_is_not_answered_is_repeated(block, emulator, after_work):
    """A session that was opened unseen has no jobs, and is free."""
    emulator.faults.add(
        Fault("/sessions", Answer(502, after_work=after_work), method="POST", count=2)
    )

    @session_flow(block, backend="ibm_manila")
    def runs() -> int:
        return one()

    assert 1 == runs()
    used = [session for session in emulator.sessions if session.job_ids]
    assert ["close"] == [session.ended_by for session in used]
    assert (2 if after_work else 0) == len(emulator.sessions) - len(used)


def test_an_open_session_holds_a_slot_of_its_limit(block, emulator):
    """Two flow runs that share a limit of one have one session after the other."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("one-session", limit=1)

    @session_flow(block, backend="ibm_manila", concurrency_limit="one-session")
    def runs() -> int:
        return one()

    with ThreadPoolExecutor(2) as threads:
        results = [threads.submit(runs) for _ in range(2)]
        assert [1, 1] == [result.result() for result in results]

    first, second = emulator.sessions
    assert first.closed <= second.created


# -- sessions that the service ends


def test_a_session_that_ran_out_of_time_is_opened_anew(slow, caplog):
    """The request that meets its end goes into another, and the flow run completes."""
    emulator, block = slow

    @session_flow(block, backend="ibm_manila", max_time="10m")
    def outlives_its_session() -> None:
        first = ask(10)
        emulator.clock.advance(60)
        first.result()
        emulator.clock.advance(3600)
        second = ask(20)
        emulator.clock.advance(60)
        second.result()

    outlives_its_session()

    assert ["max_ttl", "close"] == outcomes(emulator)
    assert [1, 1] == [len(session.job_ids) for session in emulator.sessions]
    assert 1 == sum("The service has ended session" in entry.message for entry in caplog.records)


def test_a_job_that_its_session_left_behind_is_run_in_another(slow):
    """It was queued when the time was over: its result comes from a second job."""
    emulator, block = slow

    @session_flow(block, backend="ibm_manila", max_time="90s")
    def leaves_one_behind() -> int:
        jobs = [ask(10), ask(20), ask(30)]
        emulator.clock.advance(3600)
        jobs[0].result()
        left_behind = jobs[2].job_id()
        with ThreadPoolExecutor(1) as threads:
            result = threads.submit(jobs[2].result)
            wait_until(lambda: len(emulator.jobs) == 4)
            emulator.clock.advance(60)
            result.result()
        assert left_behind != jobs[2].job_id()
        return 1

    leaves_one_behind()

    assert ["max_ttl", "close"] == outcomes(emulator)
    assert ["Completed", "Completed", "Failed", "Completed"] == [
        job.status for job in emulator.jobs
    ]


def test_a_job_of_an_earlier_attempt_that_its_session_left_behind_is_run_in_another(slow):
    """The second attempt waits for it, and the time is over meanwhile."""
    emulator, block = slow
    attempts: list[int] = []

    @session_flow(block, backend="ibm_manila", max_time="90s", retries=1)
    def leaves_one_behind() -> None:
        attempts.append(1)
        jobs = [ask(10), ask(20), ask(30)]
        if len(attempts) == 1:
            raise Boom
        assert all(job.is_reattached for job in jobs)
        emulator.clock.advance(3600)
        with ThreadPoolExecutor(1) as threads:
            result = threads.submit(jobs[2].result)
            wait_until(lambda: len(emulator.jobs) == 4)
            emulator.clock.advance(60)
            result.result()

    leaves_one_behind()

    assert ["max_ttl", "close"] == outcomes(emulator)
    assert ["Completed", "Completed", "Failed", "Completed"] == [
        job.status for job in emulator.jobs
    ]


def test_a_session_is_not_opened_anew_if_the_user_does_not_want_it(slow):
    """The error names the session, and what to do."""
    emulator, block = slow

    @session_flow(block, backend="ibm_manila", max_time="10m", reopen=0)
    def outlives_its_session() -> None:
        job = ask(10)
        emulator.clock.advance(3600)
        job.result()
        ask(20)

    with pytest.raises(SessionLost, match=r"max_time"):
        outlives_its_session()
    assert ["max_ttl"] == outcomes(emulator)


# -- budgets


def test_a_spent_qpu_budget_lets_no_more_jobs_in(on_plan):
    """Three jobs of ten seconds fit into 39; the fourth does not, and the session is cancelled."""
    emulator, block = on_plan(
        "premium", timing=TimingSettings(fixed_seconds=10), hand_clock=True, skip_waits=True
    )

    @session_flow(block, backend="ibm_manila", qpu_budget=39)
    def spends() -> None:
        for shots in range(10, 20):
            one(shots)

    with pytest.raises(BudgetExceeded, match="qpu_budget of 39 s"):
        spends()
    assert 3 == len(emulator.jobs)
    assert ["cancel"] == outcomes(emulator)


def test_most_of_a_budget_is_told_once(on_plan, caplog):
    """At four fifths."""
    emulator, block = on_plan(
        "premium", timing=TimingSettings(fixed_seconds=10), hand_clock=True, skip_waits=True
    )

    @session_flow(block, backend="ibm_manila", qpu_budget=60)
    def spends() -> None:
        for shots in range(10, 16):
            one(shots)

    spends()

    told = [entry for entry in caplog.records if "Most of the flow run's qpu" in entry.message]
    assert 1 == len(told)
    assert 6 == len(emulator.jobs)


def test_the_jobs_of_earlier_attempts_count(on_plan):
    """A retried flow run does not begin anew with its budget."""
    emulator, block = on_plan(
        "premium", timing=TimingSettings(fixed_seconds=10), hand_clock=True, skip_waits=True
    )

    @session_flow(block, backend="ibm_manila", qpu_budget=25, retries=1)
    def spends() -> None:
        one(10)
        one(20)
        one(30)

    with pytest.raises(BudgetExceeded):
        spends()
    assert 2 == len(emulator.jobs)


@pytest.mark.parametrize(("seconds", "ended_by"), [(9.5, "cancel"), (30, "max_ttl")])
def test_a_spent_session_budget_ends_the_session(slow, seconds, ended_by):
    """By the monitor, or by the service itself; the flow run's next job is refused."""
    emulator, block = slow

    @session_flow(block, backend="ibm_manila", session_budget="70s")
    def idles() -> None:
        job = ask(10)
        emulator.clock.advance(60)
        job.result()
        emulator.clock.advance(seconds)
        wait_until(lambda: outcomes(emulator) == [ended_by])
        ask(20)

    with pytest.raises(BudgetExceeded, match="session_budget of 70 s"):
        idles()
    assert 1 == len(emulator.jobs)


# -- idle sessions


def test_an_idle_session_is_closed_and_the_next_job_opens_another(block, emulator):
    """A long classical step between two jobs holds no QPU."""

    @session_flow(block, backend="ibm_manila", idle_release=1)
    def thinks() -> None:
        one(10)
        wait_until(lambda: outcomes(emulator) == ["close"])
        one(20)

    thinks()

    assert ["close", "close"] == outcomes(emulator)


def test_a_session_whose_job_is_not_over_is_not_idle(slow):
    """However long the job takes."""
    emulator, block = slow

    @session_flow(block, backend="ibm_manila", idle_release=1)
    def waits() -> None:
        job = ask(10)
        time.sleep(2)
        assert [None] == outcomes(emulator)
        emulator.clock.advance(60)
        job.result()

    waits()

    assert ["close"] == outcomes(emulator)
