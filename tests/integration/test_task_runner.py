"""The task runner as Prefect handles it: copied, compared, pickled, configured from outside."""

import asyncio
from contextvars import Context
from datetime import timedelta

import cloudpickle
import pytest
from prefect import flow, task
from prefect.context import (
    FlowRunContext,
    SyncClientContext,
    hydrated_context,
    serialize_context,
)
from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from prefect_qsession import (
    LeastBusy,
    QiskitRuntimeCredentials,
    SessionTaskRunner,
    current_session,
    session_flow,
)
from tests.integration.conftest import measure_one, outcomes


def test_the_task_runner_inside_counts_and_is_duplicated():
    """A flow run has it to itself."""
    runner = SessionTaskRunner("any", task_runner=ProcessPoolTaskRunner(max_workers=2))

    assert runner == runner.duplicate()
    assert runner == cloudpickle.loads(cloudpickle.dumps(runner))
    assert runner != SessionTaskRunner("any", task_runner=ProcessPoolTaskRunner(max_workers=3))
    assert runner != SessionTaskRunner("any", max_workers=2)


def test_threads_are_not_for_a_runner_that_has_none():
    """How many workers there are is for the task runner inside to know."""
    with pytest.raises(TypeError, match="max_workers"):
        SessionTaskRunner("any", task_runner=ProcessPoolTaskRunner(), max_workers=2)


def test_the_key_of_a_saved_block_does_not_travel(emulator, block):
    """A runner is pickled with its flow; the name of the block is enough to load it."""
    secret = QiskitRuntimeCredentials.load(block)
    never_saved = QiskitRuntimeCredentials.from_environment(emulator.environment())

    key = secret.api_key.get_secret_value().encode()

    assert key not in cloudpickle.dumps(SessionTaskRunner(secret))
    assert key in cloudpickle.dumps(SessionTaskRunner(never_saved))


@pytest.fixture
def runner() -> SessionTaskRunner:
    """Return a runner with nothing left to defaults."""
    return SessionTaskRunner("any", backend=LeastBusy(5), max_time="2h 30m", max_workers=3)


def test_a_duplicate_is_equal_and_another(runner):
    """Prefect runs each flow run with a duplicate."""
    duplicate = runner.duplicate()

    assert runner == duplicate
    assert runner is not duplicate


def test_a_pickled_runner_is_equal(runner):
    """Prefect pickles a flow with its runner to run it in another process."""
    assert runner == cloudpickle.loads(cloudpickle.dumps(runner))


@pytest.mark.parametrize(
    "other",
    [
        SessionTaskRunner("other", backend=LeastBusy(5), max_time="2h 30m", max_workers=3),
        SessionTaskRunner("any", backend="ibm_manila", max_time="2h 30m", max_workers=3),
        SessionTaskRunner("any", backend=LeastBusy(5), max_time="2h", max_workers=3),
        SessionTaskRunner("any", backend=LeastBusy(5), max_time="2h 30m", max_workers=4),
        SessionTaskRunner("any", backend=LeastBusy(5), max_time="2h 30m", max_workers=3, reopen=0),
        "no runner",
    ],
)
def test_runners_that_differ_in_anything_are_not_equal(runner, other):
    """Credentials, backend, threads and every option count."""
    assert runner != other


def test_the_same_time_in_other_words_is_the_same(runner):
    """Text, seconds and timedelta are read alike."""
    same = SessionTaskRunner(
        "any", backend=LeastBusy(5), max_time=timedelta(hours=2.5), max_workers=3
    )

    assert runner == same


def test_a_block_serves_as_well_as_its_name(emulator):
    """Credentials need not be saved."""
    block = QiskitRuntimeCredentials.from_environment(emulator.environment())

    session_flow(block, backend="ibm_manila")(measure_one.fn)()

    assert ["close"] == outcomes(emulator)


def test_what_the_code_leaves_out_comes_from_the_settings(monkeypatch, emulator, block):
    """An operator chooses block, backend and time for a flow that names none."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS", block)
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_BACKEND", "ibm_manila")
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_MAX_TIME", "5m")

    max_times: list[int] = []

    @session_flow()
    def anywhere() -> None:
        max_times.append(current_session().details()["max_time"])
        measure_one()

    anywhere()

    assert ["ibm_manila"] == [session.backend for session in emulator.sessions]
    assert [300] == max_times


def test_max_time_is_always_set(emulator, block):
    """Without a word about it the service is told one hour."""
    max_times: list[int] = []

    @session_flow(block, backend="ibm_manila")
    def silent_about_time() -> None:
        max_times.append(current_session().details()["max_time"])

    silent_about_time()

    assert [3600] == max_times


def test_least_busy_takes_the_device_with_the_shorter_queue(emulator, block):
    """Without a backend the service's least busy one is taken, and filters are kept to."""

    @session_flow(block, backend=LeastBusy(min_num_qubits=100))
    def large() -> None:
        measure_one()

    large()

    assert ["ibm_sherbrooke"] == [session.backend for session in emulator.sessions]


@task
def name_the_client() -> int:
    """Say which of Prefect's clients this task has."""
    context = SyncClientContext.get()
    return id(context.client) if context else 0


def test_the_tasks_of_an_async_flow_share_one_client(block):
    """By itself Prefect makes one a task, with a TLS context that takes as long as ten tasks."""

    @session_flow(block, backend="ibm_manila")
    async def asks_thrice() -> list[int]:
        return [name_the_client(), name_the_client(), name_the_client.submit().result()]

    clients = set(asyncio.run(asks_thrice()))

    assert 1 == len(clients)
    assert 0 not in clients
    assert SyncClientContext.get() is None


class Told(ThreadPoolTaskRunner):
    """A task runner of the user's own, which tells what is done with it."""

    told: list[str] = []  # noqa: RUF012 - duplicates tell it, too

    def __enter__(self):
        self.told.append("started")
        return super().__enter__()

    def __exit__(self, *exc_info):
        self.told.append("ended")
        super().__exit__(*exc_info)

    def map(self, task, parameters, wait_for=None):
        self.told.append("mapped")
        return super().map(task, parameters, wait_for)

    def spoken_to(self) -> str:
        """Answer whoever knows it."""
        return "hello"


@pytest.fixture
def told() -> list[str]:
    """Return what the runner tells."""
    Told.told.clear()
    return Told.told


@task
def plus_one(x: int) -> int:
    """Ask for no job."""
    return x + 1


@pytest.mark.parametrize("given", [Told, Told()], ids=["class", "instance"])
def test_the_runner_inside_starts_and_ends_with_the_flow(given, told):
    """As it does by itself, taken as Prefect takes it: before the body, which may start others."""

    @session_flow(task_runner=given)
    def body() -> None:
        told.append("body")

    body()

    assert ["started", "body", "ended"] == told


def test_the_runner_inside_starts_with_an_async_flow(told):
    """And with a plain one."""

    @flow(task_runner=SessionTaskRunner(task_runner=Told))
    async def body() -> None:
        told.append("body")

    asyncio.run(body())

    assert ["started", "body", "ended"] == told


def test_the_runner_inside_starts_late_where_prefect_rebuilds_the_context_of_a_task(told):
    """That is in each worker for each task, most of which submit nothing."""

    @session_flow(task_runner=Told)
    def body() -> dict:
        return cloudpickle.dumps(serialize_context())

    context = cloudpickle.loads(body())

    def on_a_worker(*, submits: bool) -> None:
        told.clear()
        with hydrated_context(context):
            if submits:
                future = FlowRunContext.get().task_runner.submit(plus_one, {"x": 1})
                told.append(future.result())

    Context().run(on_a_worker, submits=False)
    assert [] == told
    Context().run(on_a_worker, submits=True)
    assert ["started", 2, "ended"] == told


def test_what_its_users_know_of_the_runner_inside_is_had_through_ours(told):
    """Its own `map`, its own attributes; what nobody has is said as Python does."""

    @session_flow(task_runner=Told(max_workers=3))
    def body() -> tuple:
        runner = FlowRunContext.get().task_runner
        return plus_one.map([1, 2]).result(), runner.spoken_to(), hasattr(runner, "nothing")

    assert ([2, 3], "hello", False) == body()
    assert ["started", "mapped", "ended"] == told


@pytest.mark.parametrize("make", [session_flow, SessionTaskRunner])
@pytest.mark.parametrize("nonsense", [5, "threads", int])
def test_what_is_no_task_runner_is_refused_when_the_flow_is_defined(make, nonsense):
    """Prefect would find out when it runs."""
    with pytest.raises(TypeError, match="no task runner"):
        make("any", task_runner=nonsense)


@pytest.mark.parametrize(
    "make", [ThreadPoolTaskRunner, ProcessPoolTaskRunner, lambda: SessionTaskRunner("any")]
)
def test_a_runner_that_is_not_started_or_over_takes_no_tasks(make):
    """As Prefect's own."""
    runner = make()

    with pytest.raises(RuntimeError, match="started"):
        runner.submit(plus_one, {"x": 1})
    with runner:
        pass
    with pytest.raises(RuntimeError, match="started"):
        runner.submit(plus_one, {"x": 1})
    with pytest.raises(RuntimeError, match="started"):
        runner.map(plus_one, {"x": [1]})


def test_a_runner_is_used_without_a_flow(told):
    """As Prefect's own; twice, if need be."""
    runner = SessionTaskRunner(task_runner=Told)

    for _ in range(2):
        with temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}), runner:
            assert 2 == runner.submit(plus_one, {"x": 1}).result()
            assert [3] == runner.map(plus_one, {"x": [2]}).result()

    assert ["started", "mapped", "ended"] * 2 == told


def test_a_slip_of_the_pen_is_told():
    """With what was perhaps meant."""
    with pytest.raises(TypeError, match=r"'bakend'\. Did you mean 'backend'"):
        SessionTaskRunner("any", bakend="ibm_manila")


def test_other_options_make_another_runner_with_the_rest_as_it_was(runner):
    """None says nothing."""
    changed = runner.with_options(max_time="1h", reopen=0, qpu_budget=None)

    assert (
        SessionTaskRunner("any", backend=LeastBusy(5), max_time="1h", max_workers=3, reopen=0)
        == changed
    )
    assert runner == runner.with_options()
    assert runner.with_options(max_workers=5) == runner.with_options(
        task_runner=ThreadPoolTaskRunner(max_workers=5)
    )
    with pytest.raises(TypeError, match="max_workers"):
        SessionTaskRunner(task_runner=ProcessPoolTaskRunner).with_options(max_workers=2)
