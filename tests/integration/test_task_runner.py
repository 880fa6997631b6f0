"""The task runner as Prefect handles it: copied, compared, pickled, configured from outside."""

import asyncio
from datetime import timedelta

import cloudpickle
import pytest
from prefect import task
from prefect.context import SyncClientContext
from prefect.task_runners import ProcessPoolTaskRunner

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
