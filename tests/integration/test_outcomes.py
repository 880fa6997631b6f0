"""How the session ends, for each way that a flow run ends, judged by the emulator."""

import asyncio
import time
from contextlib import aclosing, nullcontext, suppress
from itertools import pairwise

import pytest
from prefect import task
from prefect.states import Completed, Failed

from prefect_qsession import sampler, session_flow
from prefect_qsession.emulator import Delay, Fault, TimingSettings
from tests.harness.versions import SINCE_PREFECT_3_9
from tests.harness.waiting import wait_until
from tests.integration.conftest import flipped_qubit, measure_one, one, outcomes
from tests.integration.session_flows import Boom, both_ways


@both_ways
def test_a_flow_run_that_returns_closes_its_one_session(session, block, emulator):
    """Three jobs of a completed flow run share one session, which is closed."""

    @session(block)
    def three_jobs() -> int:
        return sum(measure_one() for _ in range(3))

    assert 3 == three_jobs()
    assert ["close"] == outcomes(emulator)
    assert {emulator.sessions[0].id} == {job.session_id for job in emulator.jobs}
    assert 3 == len(emulator.jobs)


@both_ways
def test_a_flow_run_that_raises_cancels_its_session(session, block, emulator):
    """The user's own error comes out, and the session is cancelled."""

    @session(block)
    def fails() -> None:
        measure_one()
        raise Boom

    with pytest.raises(Boom):
        fails()
    assert ["cancel"] == outcomes(emulator)


@both_ways
def test_a_returned_failed_state_cancels(session, block, emulator):
    """A flow may fail without an exception; the state decides."""

    @session(block)
    def returns_failed():
        measure_one()
        return Failed(message="no convergence")

    assert returns_failed(return_state=True).is_failed()
    assert ["cancel"] == outcomes(emulator)


@both_ways
def test_a_returned_completed_state_closes(session, block, emulator):
    """A flow may also complete by a state."""

    @session(block)
    def returns_completed():
        measure_one()
        return Completed(message="converged")

    assert returns_completed(return_state=True).is_completed()
    assert ["close"] == outcomes(emulator)


@both_ways
def test_a_failed_submitted_task_cancels(session, block, emulator):
    """A flow that returns the future of a task that fails is Failed, and its session cancelled."""

    @task
    def fails() -> None:
        measure_one()
        raise Boom

    @session(block)
    def returns_future():
        return fails.submit()

    assert returns_future(return_state=True).is_failed()
    assert ["cancel"] == outcomes(emulator)


@both_ways
def test_a_timeout_cancels(session, block, emulator):
    """A flow that takes longer than its `timeout_seconds` has its session cancelled."""

    @session(block, timeout_seconds=4)
    async def waits_forever() -> None:
        one()
        await asyncio.Event().wait()

    state = asyncio.run(waits_forever(return_state=True))

    assert "TimedOut" == state.name
    assert ["cancel"] == outcomes(emulator)


@both_ways
def test_a_timeout_while_a_job_runs_cancels(session, make_emulator, save_block):
    """Also a sync flow, blocked in `job.result()`, is told in time."""
    emulator = make_emulator(timing=TimingSettings(fixed_seconds=20.0))

    @session(save_block(emulator), timeout_seconds=6)
    def waits_for_its_job() -> None:
        one()

    assert "TimedOut" == waits_for_its_job(return_state=True).name
    assert ["Running"] == [job.status for job in emulator.jobs]
    assert not emulator.sessions[0].accepting_jobs


@both_ways
@pytest.mark.parametrize("fails", [False, True])
def test_jobs_that_wait_are_dropped_by_a_failure_and_finished_otherwise(
    fails, session, make_emulator, save_block
):
    """One of three jobs runs when the flow run ends; the service's record tells of the others."""
    emulator = make_emulator(hand_clock=True, timing=TimingSettings(fixed_seconds=10.0))

    @session(save_block(emulator))
    def does_not_wait() -> None:
        for _ in range(3):
            sampler().run([flipped_qubit(5)], shots=10)
        if fails:
            raise Boom

    does_not_wait(return_state=True)
    emulator.clock.advance(100)

    dropped = ["Completed", "Cancelled", "Cancelled"]
    assert (dropped if fails else ["Completed"] * 3) == [job.status for job in emulator.jobs]
    assert ["cancel" if fails else "close"] == outcomes(emulator)


@both_ways
@pytest.mark.parametrize("collect", [list, lambda futures: {"nested": [*futures]}])
def test_returned_futures_are_waited_for_in_the_open_session(collect, session, block, emulator):
    """Futures at any depth of the returned value still have jobs to run."""

    @session(block)
    def returns_futures():
        return collect(measure_one.submit() for _ in range(3))

    assert returns_futures(return_state=True).is_completed()
    assert 3 == len(emulator.jobs)
    assert ["close"] == outcomes(emulator)


@both_ways
def test_ctrl_c_cancels(session, block, emulator):
    """KeyboardInterrupt is no Exception, and still no way to leave a session open."""

    @session(block)
    def interrupted() -> None:
        measure_one()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ["cancel"] == outcomes(emulator)


@both_ways
def test_a_flow_run_without_jobs_opens_no_session(session, block, emulator):
    """Nothing is opened for a flow that never reaches its first job."""

    @session(block)
    def no_jobs() -> int:
        return 1

    assert 1 == no_jobs()
    assert [] == emulator.sessions


@both_ways
def test_generator_flows_hold_and_close_a_session(session, block, emulator):
    """What the caller reads is computed in one session, closed at the end of the generator."""

    @session(block)
    def yields():
        yield measure_one()
        yield measure_one()

    assert [1, 1] == list(yields())
    assert ["close"] == outcomes(emulator)


@both_ways
def test_a_generator_flow_that_is_left_early_closes_its_session(session, block, emulator):
    """A caller that has read enough has not failed."""

    @session(block)
    def yields():
        while True:
            yield measure_one()

    items = yields()
    assert 1 == next(items)
    items.close()

    assert ["close"] == outcomes(emulator)


@both_ways
def test_async_generator_flows_hold_and_close_a_session(session, block, emulator):
    """Async generators are flows like the others."""

    @session(block)
    async def yields():
        yield one()
        yield one()

    async def read() -> list[int]:
        return [item async for item in yields()]

    assert [1, 1] == asyncio.run(read())
    assert ["close"] == outcomes(emulator)


class Lab:
    """Methods of every kind, each with a job; `make` decorates them."""

    def of_instance(self) -> int:
        return one()

    async def of_instance_async(self) -> int:
        await asyncio.sleep(0)
        return one()

    @classmethod
    def of_class(cls) -> int:
        return one()

    @staticmethod
    async def of_nobody_async() -> int:
        await asyncio.sleep(0)
        return one()


@pytest.mark.parametrize("name", [name for name in vars(Lab) if name.startswith("of_")])
def test_a_method_holds_a_session_until_it_is_over(name, block, emulator):
    """Also an async one of nobody, whose call returns before it has begun."""
    seen: list[str | None] = []
    decorate = session_flow(
        block, backend="ibm_manila", on_completion=[lambda *_: seen.extend(outcomes(emulator))]
    )
    lab = type("LabWithFlows", (), {name: decorate(vars(Lab)[name])})

    result = getattr(lab() if "instance" in name else lab, name)()

    assert 1 == (asyncio.run(result) if asyncio.iscoroutine(result) else result)
    assert ["close"] == seen == outcomes(emulator)


def test_the_decorator_releases_before_the_final_state_is_reported(block, emulator):
    """A completion hook, which runs after the state is set, already finds the session closed."""
    seen: list[str | None] = []

    @session_flow(
        block, backend="ibm_manila", on_completion=[lambda *_: seen.extend(outcomes(emulator))]
    )
    def one_job() -> None:
        measure_one()

    one_job()

    assert ["close"] == seen


def test_a_plain_call_of_the_function_opens_and_releases_nothing(block, emulator):
    """`flow.fn()` is the bare function, for users' own unit tests."""

    @session_flow(block, backend="ibm_manila")
    def doubled(x: int) -> int:
        return 2 * x

    assert 4 == doubled.fn(2)
    assert [] == emulator.sessions


def test_a_plain_call_inside_another_session_flow_leaves_its_session_alone(block, emulator):
    """`inner.fn()` is the bare function there too, also the flow's own."""

    @session_flow(block, backend="ibm_manila", name="inner")
    def inner() -> int:
        return one()

    @session_flow(block, backend="ibm_manila", name="outer")
    def outer(depth: int = 0) -> int:
        return 1 if depth else inner.fn() + outer.fn(1) + one()

    assert 3 == outer()
    assert [2] == [len(session.job_ids) for session in emulator.sessions]
    assert ["close"] == outcomes(emulator)


def test_a_bare_decorator_takes_everything_from_the_settings(monkeypatch, block, emulator):
    """`@session_flow` without parentheses is a flow like the others."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS", block)
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_BACKEND", "ibm_manila")

    @session_flow
    def bare() -> int:
        return one()

    assert 1 == bare()
    assert ["close"] == outcomes(emulator)


def test_a_release_that_the_service_does_not_confirm_hides_nothing(
    block, emulator, monkeypatch, caplog
):
    """With the service gone, the user's error still comes out, and the log names the session."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_RELEASE_WITHIN", "2")

    @session_flow(block, backend="ibm_manila")
    def fails() -> None:
        measure_one()
        emulator.stop()
        raise Boom

    with pytest.raises(Boom):
        fails()
    assert any(
        emulator.sessions[0].id in record.message and "may still be open" in record.message
        for record in caplog.records
    )


@both_ways
def test_an_async_generator_flow_that_is_left_early_cancels_its_session(session, block, emulator):
    """Prefect cannot throw into it, takes it for failed, and from 3.9 on lets that error out."""

    @session(block)
    async def yields():
        while True:
            yield one()

    async def read_one() -> None:
        async with aclosing(yields()) as items:
            assert 1 == await anext(items)

    with pytest.raises(AttributeError, match="throw") if SINCE_PREFECT_3_9 else nullcontext():
        asyncio.run(read_one())

    assert ["cancel"] == outcomes(emulator)


@pytest.mark.parametrize("fails", [False, True])
def test_the_loop_of_an_async_flow_goes_on_while_its_session_is_released(block, emulator, fails):
    """What else runs there does not wait for the service."""
    passes: list[float] = []

    async def pass_by() -> None:
        while True:
            passes.append(time.monotonic())
            await asyncio.sleep(0.01)

    @session_flow(block, backend="ibm_manila")
    async def flow() -> None:
        one()
        emulator.faults.add(Fault("/sessions/*", Delay(2.5), method="DELETE"))
        emulator.faults.add(Fault("/sessions/*", Delay(2.5), method="PATCH"))
        passes.clear()
        if fails:
            raise Boom

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            passing = group.create_task(pass_by())
            with nullcontext() if not fails else pytest.raises(Boom):
                await flow()
            passing.cancel()

    asyncio.run(main())

    assert ["cancel" if fails else "close"] == outcomes(emulator)
    assert passes[-1] - passes[0] > 2.5
    assert max(after - before for before, after in pairwise(passes)) < 2.0


def test_a_cancellation_during_the_release_of_an_async_flow_waits_for_it(block, emulator):
    """However often it comes; the session is gone by then."""
    released: list[list[str | None]] = []

    @session_flow(block, backend="ibm_manila")
    async def flow() -> None:
        one()
        emulator.faults.add(Fault("/sessions/*", Delay(0.7)))

    async def main() -> None:
        running = asyncio.ensure_future(flow())
        await asyncio.to_thread(
            wait_until, lambda: any(it.struck for it in emulator.faults.standing)
        )
        for _ in range(3):
            running.cancel()
            await asyncio.sleep(0.01)
        with suppress(asyncio.CancelledError):
            await running
        released.append(outcomes(emulator))

    asyncio.run(main())

    assert [["close"]] == released
