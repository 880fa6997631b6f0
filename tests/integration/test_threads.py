"""Threads that carry no context, as libraries start them: they belong to the flow run under way."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest
from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.context import (
    FlowRunContext,
    SettingsContext,
    _temporary_global_settings_context,
    get_settings_context,
)
from prefect.settings import PREFECT_API_URL
from scipy.optimize import differential_evolution

from prefect_qsession import (
    SessionTaskRunner,
    current_backend,
    current_session,
    estimator,
    executor,
    sampler,
    session_flow,
    track,
)
from prefect_qsession.exceptions import NotInSessionFlow, ThreadWithoutContext
from prefect_qsession.release.ledger import PrefectLedger
from prefect_qsession.session import flow_run_sessions
from tests.harness.waiting import wait_until
from tests.integration.conftest import flipped_qubit, one, outcomes
from tests.integration.session_flows import Boom, both_ways
from tests.integration.test_report import shows


def ask(shots: int = 10):
    """Submit a job, and return it."""
    return sampler().run([flipped_qubit(current_backend().num_qubits)], shots=shots)


def in_bare_thread(function, *arguments):
    """Return what a function returns, or raise what it raises, in a thread without a context."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(function, *arguments).result()


def by_pool() -> list[int]:
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(one, [10, 20]))


def by_thread() -> list[int]:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(one()))
    thread.start()
    thread.join()
    return found


def by_multiprocessings_threads() -> list[int]:
    with ThreadPool(2) as threads:
        return threads.map(one, [10, 20])


def by_threads_of_threads() -> list[int]:
    return in_bare_thread(by_pool)


async def by_event_loop() -> list[int]:
    return [await asyncio.get_running_loop().run_in_executor(None, one)]


def by_scipy() -> list[int]:
    with ThreadPoolExecutor(2) as threads:
        found = differential_evolution(
            lambda x: one() + float(x[0]) ** 2,
            [(-1, 1)],
            workers=threads.map,
            updating="deferred",
            popsize=2,
            maxiter=1,
            polish=False,
            seed=1,
        )
    return [int(found.fun)]


WAYS = [
    by_pool,
    by_thread,
    by_multiprocessings_threads,
    by_threads_of_threads,
    by_event_loop,
    by_scipy,
]


@both_ways
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_thread_without_a_context_asks_in_the_flow_run_under_way(way, session, block, emulator):
    """Be it the first to ask for anything; its jobs go into the one session, which is closed."""
    run = session(block)(way)

    found = asyncio.run(run()) if asyncio.iscoroutinefunction(way) else run()

    assert {1} == set(found)
    assert ["close"] == outcomes(emulator)
    assert {emulator.sessions[0].id} == {job.session_id for job in emulator.jobs}


@both_ways
@pytest.mark.parametrize("ask_for", [estimator, sampler, executor, current_backend])
def test_whatever_may_be_asked_for_may_be_asked_for_in_such_a_thread(ask_for, session, block):
    """Each, in whichever of the two kinds of flow, before anything else has been asked."""

    @session(block)
    def asks() -> str:
        found = in_bare_thread(ask_for)
        return getattr(found, "name", None) or found.backend().name

    assert "ibm_manila" == asks()


def test_the_clients_own_session_is_found_from_such_a_thread(block, emulator):
    """It is opened there if need be."""

    @session_flow(block, backend="ibm_manila")
    def asks() -> str:
        return in_bare_thread(current_session).session_id

    assert [asks()] == [session.id for session in emulator.sessions]


def test_numbers_that_are_tracked_in_such_a_thread_are_in_the_report(block):
    """Logging, events and artifacts go where those of the flow run go."""

    @session_flow(block, backend="ibm_manila")
    def tracks() -> str:
        one()
        in_bare_thread(lambda: track(energy=-1.5, iteration=7))
        return runtime.flow_run.id

    flow_run_id = tracks()

    wait_until(lambda: shows(flow_run_id, "iteration 7"))


@both_ways
def test_what_such_a_thread_begins_asks_the_flow_runs_own_prefect_api(
    session, block, emulator, caplog
):
    """The session that it opens is recorded, monitored and released there."""
    here = get_settings_context()
    nobody = here.settings.copy_with_update(updates={PREFECT_API_URL: "http://127.0.0.1:9/api"})
    elsewhere = SettingsContext(profile=here.profile, settings=nobody)

    @session(block)
    def opens() -> list:
        with _temporary_global_settings_context(elsewhere):
            in_bare_thread(one)
        return [entry.session_id for entry in PrefectLedger().entries()]

    with here.model_copy():
        recorded = opens()

    assert [session.id for session in emulator.sessions] == recorded
    assert ["close"] == outcomes(emulator)
    assert [] == [entry.message for entry in caplog.records if "127.0.0.1:9" in entry.message]


def test_a_retried_task_finds_the_jobs_that_threads_have_submitted_with_its_primitive(
    block, emulator
):
    """The primitive was made in the task, and so its requests are the task's."""
    attempts: list[list[str]] = []

    @task(retries=1, cache_policy=NO_CACHE)
    def fails_once() -> None:
        primitive, circuit = sampler(), flipped_qubit(current_backend().num_qubits)

        def submit(shots: int) -> str:
            job = primitive.run([circuit], shots=shots)
            job.result()
            return job.job_id()

        with ThreadPoolExecutor(2) as threads:
            attempts.append(list(threads.map(submit, [10, 20, 30])))
        if len(attempts) == 1:
            raise Boom

    @session_flow(block, backend="ibm_manila")
    def retries() -> None:
        fails_once.submit().result()

    retries()

    assert attempts[0] == attempts[1]
    assert 3 == len(emulator.jobs)


@pytest.mark.filterwarnings("ignore:Logger .* attempted to send logs to the API without")
def test_a_task_that_is_called_and_retried_in_such_a_thread_finds_its_jobs(block, emulator):
    """Whether its primitive is its own or was made in the flow's body."""
    attempts: list[str] = []

    @session_flow(block, backend="ibm_manila")
    def retries() -> None:
        of_the_body, circuit = sampler(), flipped_qubit(current_backend().num_qubits)

        @task(retries=1, cache_policy=NO_CACHE)
        def fails_once() -> None:
            for primitive, shots in ((of_the_body, 10), (sampler(), 20)):
                job = primitive.run([circuit], shots=shots)
                job.result()
                attempts.append(job.job_id())
            if len(attempts) == 2:
                raise Boom

        in_bare_thread(fails_once)

    retries()

    assert attempts[:2] == attempts[2:]
    assert 2 == len(emulator.jobs)


def test_a_thread_that_has_a_context_of_its_own_is_asked_for_its_own_task(block, emulator):
    """A primitive of the flow's body, used in a task that is retried, belongs to the task."""
    attempts: list[str] = []

    @session_flow(block, backend="ibm_manila")
    def retries() -> None:
        primitive, circuit = sampler(), flipped_qubit(current_backend().num_qubits)

        @task(retries=1, cache_policy=NO_CACHE)
        def fails_once() -> None:
            job = primitive.run([circuit], shots=10)
            job.result()
            attempts.append(job.job_id())
            if len(attempts) == 1:
                raise Boom

        fails_once.submit().result()

    retries()

    assert attempts[0] == attempts[1]
    assert 1 == len(emulator.jobs)


@flow
def shares() -> int:
    """Ask in a bare thread of a subflow that has no session of its own."""
    return in_bare_thread(one)


def test_a_subflow_shares_the_session_with_its_threads_too(block, emulator):
    """There is one session flow run, whichever of its subflows starts the thread."""

    @session_flow(block, backend="ibm_manila")
    def outer() -> int:
        return shares()

    assert 1 == outer()
    assert ["close"] == outcomes(emulator)


def test_the_first_to_ask_may_be_a_thread_of_a_subflow(block, emulator):
    """With the plain runner, nobody has told which flow run the session is of."""

    @flow(task_runner=SessionTaskRunner(block, backend="ibm_manila"))
    def outer() -> list[str | None]:
        assert 1 == shares()
        return outcomes(emulator)

    assert [None] == outer()
    assert ["close"] == outcomes(emulator)


def test_of_two_session_flow_runs_a_thread_must_say_which_it_is_of(block, emulator):
    """A subflow with a session of its own: the thread might be the outer one's, and pay there."""
    of_outer: list = []

    @session_flow(block, backend="ibm_sherbrooke")
    def inner() -> int:
        with pytest.raises(ThreadWithoutContext, match=r"estimator\(\).*several.*copy_context"):
            in_bare_thread(estimator)
        in_bare_thread(lambda: track(energy=1.0))
        # A primitive knows where it was made, and a context tells it.
        in_bare_thread(of_outer[0].run, [flipped_qubit(5)]).result()
        return in_bare_thread(contextvars.copy_context().run, one)

    @session_flow(block, backend="ibm_manila")
    def outer() -> None:
        of_outer.append(sampler())
        inner()
        in_bare_thread(one)

    outer()

    assert ["close", "close"] == outcomes(emulator)
    assert [2, 1] == [len(session.job_ids) for session in emulator.sessions]


def test_after_the_flow_run_no_thread_finds_it(block):
    """Nothing is left of it in the process, however it ended."""

    @session_flow(block, backend="ibm_manila")
    def fails() -> None:
        one()
        raise Boom

    with pytest.raises(Boom):
        fails()

    assert {} == flow_run_sessions._under_way
    with pytest.raises(NotInSessionFlow, match="@session_flow"):
        in_bare_thread(estimator)


def test_a_plain_flow_in_such_a_thread_is_no_part_of_the_session_flow_run(block):
    """It has a context, and no session: the thread has said where it is."""

    @flow
    def plain() -> bool:
        assert FlowRunContext.get() is not None
        with pytest.raises(NotInSessionFlow, match=r"estimator\(\).*@session_flow"):
            estimator()
        return True

    @session_flow(block, backend="ibm_manila")
    def outer() -> bool:
        return in_bare_thread(plain)

    assert outer()
