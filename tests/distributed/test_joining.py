"""Tasks in other processes and on other machines join the session of their flow run."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from prefect import flow, get_client, runtime, unmapped
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings
from prefect.states import Completed, Running

from prefect_qsession import LeastBusy, SessionTaskRunner, current_session, session_flow, track
from prefect_qsession.emulator import InstanceSettings, TimingSettings
from prefect_qsession.exceptions import (
    BudgetExceeded,
    NotInSessionFlow,
    OwnerSilent,
    SessionError,
    SessionNotOpen,
    SessionRefused,
)
from prefect_qsession.jobs.activity import Activity
from prefect_qsession.prefect_api.owners import owner_through_api
from prefect_qsession.reporting.run_events import (
    JobCompletedEvent,
    JobReattachedEvent,
    JobRunningEvent,
    JobSubmittedEvent,
)
from prefect_qsession.session.manager import SessionManager
from prefect_qsession.settings import QSessionSettings
from prefect_qsession.workers.event_serialization import TimedEvent
from prefect_qsession.workers.flow_run_inputs import (
    QUESTION,
    SILENCE,
    Question,
    ask,
    send_events,
    take,
)
from prefect_qsession.workers.listener import WorkerListener
from tests.distributed.conftest import processes
from tests.distributed.tasks import (
    add_one,
    measure,
    measure_and_die_once,
    measure_and_fail_once,
    measure_and_fork,
    measure_and_track,
    measure_async,
    measure_in_threads,
    measure_in_threads_and_fail_once,
    nested,
    spread,
)
from tests.harness.waiting import wait_until
from tests.integration.conftest import outcomes
from tests.integration.test_report import artifacts, report, shows


@flow
def idle() -> None:
    """Do nothing."""


def test_tasks_anywhere_share_one_session_and_each_job_is_submitted_once(runner, emulator, block):
    """Mapped, submitted, async, nested and in subflows, and however equal their requests are."""

    @session_flow(block, backend=LeastBusy(min_num_qubits=100), task_runner=runner())
    def everywhere() -> list:
        futures = [*measure.map([10] * 6), nested.submit(), measure_async.submit()]
        return [row for future in futures for row in future.result()]

    jobs, sessions, backends = (set(column) for column in zip(*everywhere(), strict=True))

    assert ["close"] == outcomes(emulator)
    assert {emulator.sessions[0].id} == sessions
    assert {"ibm_sherbrooke"} == backends
    assert sorted(jobs) == sorted(job.id for job in emulator.jobs)
    assert 10 == len(jobs)


def test_outside_any_flow_run_tasks_run_that_ask_for_no_job(runner):
    """As Prefect's own runners allow it; what asks for a job is told that there is no session."""
    with (
        temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}),
        SessionTaskRunner(task_runner=runner()) as tasks,
    ):
        numbers = [tasks.submit(add_one, {"x": 1}), *tasks.map(add_one, {"x": [2, 3]})]
        asks = tasks.submit(measure, {})

        assert [2, 3, 4] == [future.result() for future in numbers]
        with pytest.raises(NotInSessionFlow):
            asks.result()


def test_the_client_of_a_cluster_is_had_in_the_body(dask):
    """By Prefect's own function, as with the plain runner."""
    from prefect_dask import get_dask_client  # noqa: PLC0415 - slow, and an extra

    @session_flow(task_runner=dask())
    def computes() -> tuple:
        client = FlowRunContext.get().task_runner.client
        with get_dask_client() as another:
            return add_one.submit(1).result(), client.submit(sum, [1, 2]).result(), another.status

    assert (2, 3, "running") == computes()


@pytest.mark.parametrize("cluster", ["dask", "ray"])
def test_a_task_that_is_moved_when_its_worker_dies_finds_its_job(
    cluster, emulator, block, tmp_path, request
):
    """The cluster runs the task again on another worker, which submits nothing."""
    runner = request.getfixturevalue(cluster)

    @flow(task_runner=SessionTaskRunner(block, backend="ibm_manila", task_runner=runner()))
    def dies() -> list:
        return measure_and_die_once.submit(str(tmp_path / "died")).result()

    [job] = [dies()]

    assert [(emulator.jobs[0].id, True)] == [tuple(job)]
    assert 1 == len(emulator.jobs)
    assert ["close"] == outcomes(emulator)


@pytest.mark.slow
def test_a_flow_whose_pool_of_processes_broke_is_retried_without_paying_again(
    emulator, block, tmp_path
):
    """Prefect's pool fails all its tasks when a process dies; the next attempt finds their jobs."""

    @session_flow(block, backend="ibm_manila", task_runner=processes(), retries=1)
    def breaks() -> tuple[str, bool]:
        return measure_and_die_once.submit(str(tmp_path / "died")).result()

    job_id, is_reattached = breaks()

    assert [job_id] == [job.id for job in emulator.jobs]
    assert is_reattached


def test_a_retried_task_in_a_worker_asks_for_the_job_it_has(dask, emulator, block, tmp_path):
    """As it does in the flow's own process."""
    failed = tmp_path / "failed"

    @session_flow(block, backend="ibm_manila", task_runner=dask())
    def retries() -> str:
        return measure_and_fail_once.submit(str(failed)).result()

    assert retries() == failed.read_text()
    assert 1 == len(emulator.jobs)


def test_threads_that_a_task_starts_are_the_tasks(runner, emulator, block, tmp_path):
    """They carry no context, on a worker either; and a retried task finds the jobs of its own."""
    failed = tmp_path / "failed"

    @session_flow(block, backend="ibm_manila", task_runner=runner())
    def spreads() -> tuple[list, list[str]]:
        rows = measure_in_threads.submit().result()
        return rows, measure_in_threads_and_fail_once.submit(str(failed)).result()

    rows, found = spreads()

    assert found == failed.read_text().split()
    assert sorted([*found, *(row[0] for row in rows)]) == sorted(job.id for job in emulator.jobs)
    assert {(emulator.sessions[0].id, "ibm_manila")} == {(row[1], row[2]) for row in rows}
    assert 4 == len(emulator.jobs)
    assert ["close"] == outcomes(emulator)


@pytest.mark.slow
def test_forks_of_a_worker_are_told_what_to_do(emulator, block):
    """They may not count, nor pay, beside the worker; nor by Prefect's own `with_context`."""

    @session_flow(block, backend="ibm_manila", task_runner=processes())
    def forks() -> tuple[list[str], list]:
        return measure_and_fork.submit().result()

    told, rows = forks()

    assert 4 == len(told)
    assert [] == [text for text in told if "has no session to run in" not in text]
    assert sorted(job.id for job in emulator.jobs) == sorted(row[0] for row in rows)
    assert ["close"] == outcomes(emulator)


def test_a_task_may_submit_tasks_to_its_cluster(dask, emulator, block):
    """They join the session of the flow run that is theirs in the end."""

    @session_flow(block, backend="ibm_manila", task_runner=dask())
    def spreads() -> list:
        return spread.submit().result()

    jobs, sessions, _ = (set(column) for column in zip(*spreads(), strict=True))

    assert {job.id for job in emulator.jobs} == jobs
    assert 2 == len(jobs)
    assert {session.id for session in emulator.sessions} == sessions


def test_workers_go_on_in_the_session_that_is_opened_in_the_place_of_a_lost_one(
    dask, emulator, block
):
    """The worker finds the session ended, and asks the flow's process for another."""

    @session_flow(block, backend="ibm_manila", task_runner=dask())
    def loses_its_session() -> list[list]:
        before = measure.submit(10).result()
        # As the service ends it: the flow run does not know.
        current_session().close()
        return [*before, *measure.submit(20).result()]

    rows = loses_its_session()

    assert [session.id for session in emulator.sessions] == [session for _, session, _ in rows]
    assert 2 == len(emulator.sessions)
    assert 2 == len(emulator.jobs)


def test_a_worker_is_told_why_there_is_no_session(dask, make_emulator, save_block):
    """The error that opening raises in the flow's process arrives in the task."""
    emulator = make_emulator(instances=(InstanceSettings(plan="open"),))

    @session_flow(save_block(emulator), backend="ibm_manila", task_runner=dask())
    def refused() -> list:
        return measure.submit().result()

    with pytest.raises(SessionRefused, match="open a session") as caught:
        refused()
    assert caught.value.status_code is not None
    assert [] == emulator.jobs


def test_a_budget_holds_for_all_workers_together(dask, make_emulator, save_block):
    """Each asks what the others have spent; of two that look at once, one may pass the cap."""
    emulator = make_emulator(timing=TimingSettings(fixed_seconds=2.0), time_scale=20)

    @session_flow(save_block(emulator), backend="ibm_manila", task_runner=dask(), qpu_budget=10)
    def spends() -> list:
        measure.submit(5).result()
        return measure.map([10] * 12).result()

    with pytest.raises(BudgetExceeded, match="qpu_budget"):
        spends()

    assert 5 <= len(emulator.jobs) <= 6
    assert ["cancel"] == outcomes(emulator)


def test_what_happens_on_workers_is_in_the_report_of_their_flow_run(runner, emulator, block):
    """Their jobs, what those were charged, the start of the session, and the user's numbers."""

    @session_flow(block, backend="ibm_manila", task_runner=runner())
    def watched() -> tuple:
        track(total=4)
        values = [-1.0, -1.5, -1.75]
        names = measure_and_track.map(values, iteration=[1, 2, 3]).result()
        return runtime.flow_run.id, names

    flow_run_id, names = watched()

    wait_until(lambda: shows(flow_run_id, "**closed** · iteration 3 of 4 at the most"))
    wait_until(lambda: "session-jobs" in artifacts(flow_run_id))
    said = report(flow_run_id)
    assert "| Jobs | 3: 3 completed |" in said
    assert "| Queue wait |" in said
    assert "![Convergence of energy]()" in said
    assert "![State timeline]()" in said
    rows = json.loads(artifacts(flow_run_id)["session-jobs"][0].data)
    assert {job.id: job.charged_seconds for job in emulator.jobs} == {
        row["job"]: pytest.approx(row["QPU seconds"]) for row in rows
    }
    assert sorted(names) == [
        "measure_and_track 1: -1",
        "measure_and_track 2: -1.5",
        "measure_and_track 3: -1.75",
    ]


def test_numbers_of_workers_need_no_iteration(dask, emulator, block):
    """Whoever counts them is the report: a worker knows nothing of the others."""

    @session_flow(block, backend="ibm_manila", task_runner=dask())
    def watched() -> tuple:
        names = measure_and_track.map([-1.0, -1.5], iteration=unmapped(None)).result()
        return runtime.flow_run.id, names

    flow_run_id, names = watched()

    wait_until(lambda: shows(flow_run_id, "**closed** · iteration 2"))
    assert {"measure_and_track: -1", "measure_and_track: -1.5"} == set(names)


def test_jobs_of_workers_keep_the_session_from_being_idle():
    """What a worker tells is taken in by whoever decides on `idle_release`."""
    at = datetime.now(UTC)
    manager = SessionManager(
        lambda: pytest.fail("nobody needs it"), None, QSessionSettings().resolve({})
    )

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(idle, state=Running())
        owner = owner_through_api(run)
        for job_id in ("j1", "j2"):
            reported = [TimedEvent(JobSubmittedEvent(job_id, "s1", "sampler"), at)]
            send_events(client, run.id, "worker", int(job_id[1:]), reported)
        send_events(client, run.id, "worker", 3, [TimedEvent(JobCompletedEvent("j1"), at)])
        WorkerListener(manager, owner).drain()

        assert 0.0 == manager.activity.idle_seconds(time.monotonic() + 61)

        send_events(client, run.id, "worker", 4, [TimedEvent(JobCompletedEvent("j2"), at)])
        WorkerListener(manager, owner).drain()

    manager.events.finish(is_complete=True)
    assert 60.0 < manager.activity.idle_seconds(time.monotonic() + 61)


def test_a_job_that_its_task_finds_on_another_worker_is_of_this_attempt():
    """It was submitted in this flow run, and is paid once: here. Of another that is not known."""
    at, heard = datetime.now(UTC), []
    manager = SimpleNamespace(
        activity=Activity(),
        events=SimpleNamespace(receive=lambda event, _: heard.append(event)),
        spending=SimpleNamespace(share=lambda _: None),
        backend=None,
    )
    told = [
        JobSubmittedEvent("j1", "s1", "sampler"),
        *(JobReattachedEvent(j, "sampler") for j in ("j1", "j0")),
    ]

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(idle, state=Running())
        send_events(client, run.id, "worker", 1, [TimedEvent(event, at) for event in told])
        WorkerListener(manager, owner_through_api(run)).drain()

    assert [told[0], told[2]] == heard


def test_events_are_taken_in_their_order_however_they_come():
    """The batches of one worker; each is taken once."""
    at = datetime.now(UTC)

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(idle, state=Running())
        for number in (2, 1, 10):
            send_events(
                client, run.id, "worker", number, [TimedEvent(JobRunningEvent(f"j{number}"), at)]
            )
        taken = list(take(client, run.id, set()))
        again = list(take(client, run.id, set()))

    assert ["j1", "j2", "j10"] == [timed.event.job_id for timed in taken]
    assert [] == again


class _Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("state", "error"), [(Running(), OwnerSilent), (Completed(), SessionNotOpen)]
)
def test_a_question_that_nobody_takes_is_given_up(state, error):
    """After half a minute; and it does not lie there for ever."""
    clock = _Clock()
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(idle, state=state)

        with pytest.raises(error):
            ask(run.id, wants_session=True, sleep=clock.sleep, clock=lambda: clock.now)

        assert [] == list(take(client, run.id, set()))
    assert SILENCE < clock.now < 2 * SILENCE


def test_a_worker_that_gives_up_takes_back_its_own_question_alone():
    """Those of others lie there, for them to be answered, and their time does not begin anew."""
    others = Question("of-another", wants_session=True)
    clock = _Clock()
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(idle, state=Running())
        text = json.dumps(asdict(others))
        client.create_flow_run_input(run.id, QUESTION + others.key, text)

        with pytest.raises(OwnerSilent):
            ask(run.id, wants_session=True, sleep=clock.sleep, clock=lambda: clock.now)

        assert [others] == list(take(client, run.id, set()))


def test_workers_that_wait_for_a_silent_process_all_give_up_in_time():
    """Each half a minute after it has asked, however many did before."""

    def gives_up(_: int) -> float:
        clock = _Clock()
        with pytest.raises(OwnerSilent):
            ask(run.id, wants_session=True, sleep=clock.sleep, clock=lambda: clock.now)
        return clock.now

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(idle, state=Running())
    with ThreadPoolExecutor(4) as threads:
        contexts = [copy_context() for _ in range(4)]
        waited = list(threads.map(lambda it: it.run(gives_up, 0), contexts))

    assert max(waited) < SILENCE + 1


class _Manager:
    """Has a session whose opening goes wrong in a way that nobody expects, the first time."""

    def __init__(self) -> None:
        self.activity = Activity()
        self.events = SimpleNamespace(receive=self.receive)
        self.spending = SimpleNamespace(share=lambda _: None)
        self.policy = QSessionSettings().resolve({"max_time": "1h"})
        self.open_session = None
        self.heard: list[object] = []
        self.acquired = 0
        self.answer: object = object()

    def backend(self):
        return SimpleNamespace(name=self.answer)

    def receive(self, event, _at) -> None:
        if isinstance(event, JobRunningEvent):
            raise TypeError("a line that cannot be written")
        self.heard.append(event)


def test_an_answer_that_cannot_be_told_is_an_error_for_the_worker_and_it_may_ask_again():
    """It does not wait for ever, nor is its question in hand for ever."""
    manager = _Manager()
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(idle, state=Running())
        listener = WorkerListener(manager, owner_through_api(run))
        listener.start()
        try:
            with pytest.raises(SessionError, match="cannot be told"):
                ask(run.id, wants_session=False)
            manager.answer = "ibm_manila"
            assert "ibm_manila" == ask(run.id, wants_session=False)
        finally:
            listener.stop()


def test_what_cannot_be_used_of_a_worker_costs_nothing_else(caplog):
    """The events beside it, and those after it, are taken in."""
    at = datetime.now(UTC)
    manager = _Manager()
    told = [JobRunningEvent("j1"), JobCompletedEvent("j1"), JobCompletedEvent("j2")]

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(idle, state=Running())
        client.create_flow_run_input(run.id, f"{QUESTION}nonsense", "no JSON")
        send_events(client, run.id, "worker", 1, [TimedEvent(event, at) for event in told])
        WorkerListener(manager, owner_through_api(run)).drain()

    assert told[1:] == manager.heard
    assert any("could not be used" in record.message for record in caplog.records)


def test_a_letter_is_read_when_it_was_used():
    """Whoever stumbles over one finds it, and those behind it, again."""
    at, taken = datetime.now(UTC), set()

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(idle, state=Running())
        for number in (1, 2):
            event = JobRunningEvent(f"j{number}")
            send_events(client, run.id, "worker", number, [TimedEvent(event, at)])
        first = next(take(client, run.id, taken))
        again = list(take(client, run.id, taken))

    assert "j1" == first.event.job_id
    assert ["j1", "j2"] == [timed.event.job_id for timed in again]
