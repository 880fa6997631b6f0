"""Where a job may be asked for: everywhere inside a session flow, and nowhere else."""

import asyncio

import pytest
from prefect import flow, task
from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit_ibm_runtime import Session

from prefect_qsession import (
    current_backend,
    current_session,
    estimator,
    executor,
    sampler,
    session_flow,
)
from prefect_qsession.exceptions import NotInSessionFlow
from tests.integration.conftest import measure_one, one, outcomes


@task
async def measure_one_async() -> int:
    """Measure in an async task."""
    return one()


@task
def nested() -> int:
    """Measure in a task of a task."""
    return measure_one()


@task
def one_of(_item: int) -> int:
    """Measure once for each item of a map."""
    return one()


@flow
def subflow() -> int:
    """Measure in a subflow that has no session of its own."""
    return measure_one()


@flow
def subflow_of_subflow() -> int:
    """Measure two levels down."""
    return subflow()


def in_body() -> int:
    return one()


def in_task() -> int:
    return measure_one()


def in_submitted_task() -> int:
    return measure_one.submit().result()


def in_mapped_tasks() -> int:
    return round(sum(one_of.map([1, 2, 3]).result()) / 3)


def in_nested_task() -> int:
    return nested()


def in_submitted_nested_task() -> int:
    return nested.submit().result()


def in_subflow() -> int:
    return subflow()


def in_subflow_of_subflow() -> int:
    return subflow_of_subflow()


async def in_async_body() -> int:
    return one()


async def in_async_task() -> int:
    return await measure_one_async()


async def in_gathered_tasks() -> int:
    return sum(await asyncio.gather(measure_one_async(), measure_one_async())) // 2


async def in_submitted_async_task() -> int:
    return await asyncio.to_thread(measure_one_async.submit().result)


async def in_thread_of_async_body() -> int:
    return await asyncio.to_thread(one)


async def in_sync_task_of_async_flow() -> int:
    return measure_one()


PLACES = [
    in_body,
    in_task,
    in_submitted_task,
    in_mapped_tasks,
    in_nested_task,
    in_submitted_nested_task,
    in_subflow,
    in_subflow_of_subflow,
    in_async_body,
    in_async_task,
    in_gathered_tasks,
    in_submitted_async_task,
    in_thread_of_async_body,
    in_sync_task_of_async_flow,
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_job_runs_in_the_flow_runs_session_from_every_place(place, block, emulator):
    """Whatever asks, the jobs run in one session, and its owner closes it."""
    run = session_flow(block, backend="ibm_manila")(place)

    result = asyncio.run(run()) if asyncio.iscoroutinefunction(place) else run()

    assert 1 == result
    assert ["close"] == outcomes(emulator)
    assert {emulator.sessions[0].id} == {job.session_id for job in emulator.jobs}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("inner", [subflow, subflow_of_subflow])
def test_the_outer_flow_run_decides_even_if_only_a_subflow_asked(fails, inner, block, emulator):
    """With the plain runner, a session that a subflow opened waits for its owner's final state."""
    from prefect_qsession import SessionTaskRunner  # noqa: PLC0415

    @flow(task_runner=SessionTaskRunner(block, backend="ibm_manila"))
    def outer() -> list[str | None]:
        inner()
        if fails:
            raise ValueError
        return outcomes(emulator)

    state = outer(return_state=True)

    assert ["cancel" if fails else "close"] == outcomes(emulator)
    if not fails:
        assert [None] == state.result()


def test_a_subflow_with_a_runner_of_its_own_has_a_session_of_its_own(block, emulator):
    """The inner session ends with the subflow; the outer one goes on."""
    # On another device: on the same one it would wait until the outer session has been idle for the
    # interactive timeout, because an active session has its device to itself.
    inner = session_flow(block, backend="ibm_sherbrooke", name="inner")(in_task)

    @session_flow(block, backend="ibm_manila")
    def outer() -> list[str | None]:
        measure_one()
        inner()
        halfway = outcomes(emulator)
        measure_one()
        return halfway

    assert [None, "close"] == outer()
    assert ["close", "close"] == outcomes(emulator)
    assert [2, 1] == [len(session.job_ids) for session in emulator.sessions]


def test_two_flow_runs_in_one_process_have_a_session_each(block, emulator):
    """Concurrent flow runs do not see each other's session."""
    run = session_flow(block, backend="ibm_manila")(in_async_task)

    async def both() -> list[int]:
        return await asyncio.gather(run(), run())

    assert [1, 1] == asyncio.run(both())
    assert ["close", "close"] == outcomes(emulator)
    assert [1, 1] == [len(session.job_ids) for session in emulator.sessions]


def test_the_primitives_are_qiskits_own_kind(block):
    """A library that asks for a Qiskit primitive gets one, and the session is the client's own."""

    @session_flow(block, backend="ibm_manila")
    def kinds() -> tuple[bool, ...]:
        return (
            isinstance(estimator(), BaseEstimatorV2),
            isinstance(sampler(), BaseSamplerV2),
            isinstance(current_session(), Session),
            sampler().backend() is current_backend(),
        )

    assert (True,) * 4 == kinds()


@pytest.mark.parametrize("ask", [estimator, sampler, executor, current_session, current_backend])
def test_outside_a_session_flow_a_primitive_says_what_to_do(ask):
    """The error names what was asked for, and both ways to write a session flow."""

    @flow
    def plain_flow() -> None:
        ask()

    for place in (ask, plain_flow):
        with pytest.raises(NotInSessionFlow, match=rf"{ask.__name__}\(\).*@session_flow"):
            place()


def test_nothing_is_left_behind_in_the_context_of_the_caller(block):
    """After a session flow, its caller is outside again."""
    session_flow(block, backend="ibm_manila")(in_body)()

    with pytest.raises(NotInSessionFlow):
        sampler()
