"""What a run of a flow does, it does with our decorator and our task runner as with Prefect's."""

import asyncio
import threading
from contextlib import aclosing
from functools import partial

from prefect import get_client, get_run_logger, pause_flow_run, resume_flow_run, runtime, tags, task
from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from tests.harness.waiting import wait_until
from tests.integration.parity import (
    as_with_flow_and_runner,
    ending,
    logged,
    run_of,
    states_of,
    users,
    value_or_error,
)


class Oops(Exception):
    """What the flows of these tests raise."""


def _end(flow, body, *args, **options):
    """Run a function as a flow, and return how that ended."""
    return flow(**options)(body)(*args, return_state=True)


@as_with_flow_and_runner
def test_values_are_returned(flow):
    """Of any kind."""

    def returns(value):
        return lambda: value

    values = [None, 1, [1, {"a": (2, 3)}], {"x"}, Oops, range(3)]
    return [ending(_end(flow, returns(value), name="value")) for value in values]


@as_with_flow_and_runner
def test_errors_come_out(flow):
    """From the call, and from the state."""

    @flow
    def fails(x: int) -> int:
        raise Oops(x)

    return value_or_error(partial(fails, 3)), ending(fails(3, return_state=True))


@as_with_flow_and_runner
def test_states_may_be_returned(flow):
    """One, some, or some deep in a value."""
    made = [
        lambda: Completed(message="well", data=3),
        lambda: Failed(message="not well"),
        lambda: Cancelled(message="enough"),
        lambda: Crashed(message="gone"),
        lambda: [Completed(), Failed(message="one of two")],
        lambda: (Completed(), Completed()),
        lambda: {"deep": [Failed()]},
    ]
    return [ending(_end(flow, make, name="states"))[:2] for make in made]


@as_with_flow_and_runner
def test_a_flow_is_tried_again(flow):
    """As often as it says, with all its states."""
    tried = []

    def fails_twice() -> int:
        tried.append(runtime.flow_run.run_count)
        if len(tried) < 3:
            raise Oops
        return len(tried)

    well = _end(flow, fails_twice, retries=2)
    tried.clear()
    badly = _end(flow, fails_twice, retries=1, retry_delay_seconds=0)
    return ending(well), states_of(well), ending(badly), states_of(badly), run_of(badly).run_count


@as_with_flow_and_runner
def test_a_flow_that_takes_too_long_fails(flow):
    """Sync and async."""

    def waits() -> None:
        threading.Event().wait(20)

    async def waits_async() -> None:
        await asyncio.Event().wait()

    sync = _end(flow, waits, timeout_seconds=0.3)
    return ending(sync), ending(asyncio.run(_end(flow, waits_async, timeout_seconds=0.3)))


@as_with_flow_and_runner
def test_runs_are_named(flow):
    """By a template, by a function, which may look at the run."""

    def greet(name: str = "you") -> str:
        return runtime.flow_run.name

    def from_context() -> str:
        return f"{runtime.flow_run.flow_name} {runtime.flow_run.parameters['name']}"

    states = [
        _end(flow, greet, "me", flow_run_name="hello-{name}"),
        _end(flow, greet, "me", flow_run_name=from_context),
    ]
    unknown = value_or_error(partial(_end, flow, greet, flow_run_name="{nobody}"))
    return [ending(state) for state in states], run_of(states[0]).name, unknown


@as_with_flow_and_runner
def test_prints_are_logged(flow):
    """If the flow says so."""

    def speaks() -> None:
        print("spoken")  # noqa: T201 - that is what it is about
        get_run_logger().info("logged")

    with logged("prefect.flow_runs") as messages:
        _end(flow, speaks, log_prints=True)
    return [message for message in messages if message in {"spoken", "logged"}]


@as_with_flow_and_runner
def test_parameters_are_validated(flow):
    """Or not, if the flow says so."""

    def twice(x: int) -> int:
        return x * 2

    return [
        ending(_end(flow, twice, "4")),
        ending(_end(flow, twice, "four"))[0],
        ending(_end(flow, twice, "4", validate_parameters=False)),
        value_or_error(partial(flow(twice), y=3)),
    ]


@as_with_flow_and_runner
def test_results_are_kept(flow):
    """And read again, through the server."""
    state = _end(flow, lambda: {"kept": [1, 2]}, name="kept", persist_result=True)
    unkept = _end(flow, lambda: {"kept": [1, 2]}, name="unkept", cache_result_in_memory=False)

    again = run_of(state).state
    return ending(state), ending(again), value_or_error(unkept.result)


@as_with_flow_and_runner
def test_flows_call_flows(flow):
    """And know of each other; a flow may call itself."""

    @flow(name="child")
    def child(x: int) -> tuple:
        return x, runtime.flow_run.parent_flow_run_id is not None

    @flow(name="down")
    def down(depth: int) -> list[int]:
        return [depth, *(down(depth - 1) if depth else [])]

    @flow(name="failing")
    def failing() -> None:
        raise Oops

    @flow(name="parent")
    def parent() -> tuple:
        state = failing(return_state=True)
        return child(1), child.fn(2), down(2), state.name, runtime.flow_run.flow_name

    return ending(parent(return_state=True))


@as_with_flow_and_runner
def test_async_flows_run_side_by_side(flow):
    """In one event loop, each with its own context."""
    met = []

    @flow(name="child")
    async def child(x: int) -> int:
        met.append(x)
        while len(met) % 3:  # noqa: ASYNC110 - an event would be of one loop
            await asyncio.sleep(0.01)
        return x if FlowRunContext.get().parameters == {"x": x} else -1

    @flow(name="parent")
    async def parent() -> list[int]:
        return await asyncio.gather(*(child(x) for x in range(3)))

    return ending(asyncio.run(parent(return_state=True)))


@as_with_flow_and_runner
def test_generators_are_flows(flow):
    """Read to the end, left early, or failing."""
    left = []

    @flow(name="numbers")
    def numbers(fail: bool = False):
        try:
            yield 1
            if fail:
                raise Oops
            yield 2
        finally:
            left.append(runtime.flow_run.flow_name)

    items = numbers()
    first = next(items)
    items.close()
    return list(numbers()), first, value_or_error(lambda: list(numbers(fail=True))), left


@as_with_flow_and_runner
def test_async_generators_are_flows(flow):
    """Read to the end, left early, or failing."""

    @flow(name="numbers")
    async def numbers(fail: bool = False):
        yield 1
        if fail:
            raise Oops
        yield 2

    async def read(**how: bool) -> list[int]:
        return [item async for item in numbers(**how)]

    async def read_one() -> int:
        async with aclosing(numbers()) as items:
            return await anext(items)

    return [
        value_or_error(partial(asyncio.run, it)) for it in (read(), read(fail=True), read_one())
    ]


@as_with_flow_and_runner
def test_hooks_are_called_in_their_order(flow):
    """With the flow, the run and the state; given, added, or changed."""
    told = []

    def hook(word: str):
        def tell(flow, flow_run, state):
            told.append((word, flow.name, flow_run.name is not None, state.name))

        return tell

    @flow(
        name="hooked",
        on_running=[hook("runs")],
        on_completion=[hook("first"), hook("second")],
        on_failure=[hook("failed")],
        on_crashed=[hook("crashed")],
        on_cancellation=[hook("cancelled")],
    )
    def hooked(error: str = "") -> None:
        if error == "Oops":
            raise Oops
        if error:
            raise KeyboardInterrupt

    hooked.on_completion(hook("third"))
    hooked()
    value_or_error(partial(hooked, "Oops"))
    try:
        hooked("interrupt")
    except KeyboardInterrupt:
        told.append("interrupted")
    hooked.with_options(on_completion=[hook("other")], on_running=[hook("other runs")])()
    return told, len(users(hooked.on_crashed_hooks))


@as_with_flow_and_runner
def test_a_flow_pauses_and_is_resumed(flow):
    """By somebody else."""

    @flow(name="pausing")
    def pausing() -> str:
        pause_flow_run(timeout=60, poll_interval=0.05, key="here")
        return "resumed"

    flow_run_ids = []
    pausing.on_running(lambda _flow, run, _state: flow_run_ids.append(run.id))

    def resume() -> None:
        wait_until(lambda: flow_run_ids)

        def is_paused() -> bool:
            return client.read_flow_run(flow_run_ids[0]).state.is_paused()

        with get_client(sync_client=True) as client:
            wait_until(is_paused)
        resume_flow_run(flow_run_ids[0])

    somebody = threading.Thread(target=resume)
    somebody.start()
    state = pausing(return_state=True)
    somebody.join()
    return ending(state)


@as_with_flow_and_runner
def test_a_flow_that_no_deployment_runs_is_not_suspended(flow):
    """Prefect refuses it."""

    def suspends() -> None:
        suspend_flow_run(timeout=60)

    return ending(_end(flow, suspends))


@as_with_flow_and_runner
def test_the_run_knows_itself(flow):
    """By Prefect's `runtime`, its tags, and what the server has."""

    def knows(x: int = 1) -> tuple:
        me = runtime.flow_run
        context = FlowRunContext.get()
        return (
            me.flow_name,
            me.parameters,
            sorted(me.tags),
            me.run_count,
            context.flow.name,
            context.flow.fn.__name__,
            context.flow.fn is knows,
            context.flow_run.state.name,
        )

    with tags("a", "b"):
        state = _end(flow, knows)
    run = run_of(state)
    return ending(state), sorted(run.tags), run.parameters, states_of(state)


@as_with_flow_and_runner
def test_flows_wait_for_tasks(flow):
    """That were submitted before."""
    order = []

    @task
    def before() -> str:
        order.append("task")
        return "done"

    @flow(name="after")
    def after(x: str) -> str:
        order.append("flow")
        return x

    @flow(name="around")
    def around() -> str:
        future = before.submit()
        return after(future, wait_for=[future])

    return ending(around(return_state=True)), order


@as_with_flow_and_runner
def test_methods_run_with_what_they_are_of(flow):
    """An instance, a class, or nothing; sync and async."""

    class Lab:
        size = 3

        def __repr__(self) -> str:
            return "an instance"

        @flow
        def of_instance(self, x: int) -> int:
            return self.size * x

        @flow
        @classmethod
        def of_class(cls, x: int) -> int:
            return cls.size * x

        @flow
        @staticmethod
        async def of_nobody(x: int) -> int:
            await asyncio.sleep(0)
            return x

        @flow
        async def of_instance_async(self, x: int) -> int:
            await asyncio.sleep(0)
            return self.size * x

    large = Lab()
    large.size = 5
    return [
        value_or_error(partial(it, "2"))
        for it in (
            Lab().of_instance,
            large.of_instance,
            Lab.of_class,
            Lab().of_class,
            Lab.of_nobody,
            Lab().of_nobody,
            large.of_instance_async,
            large.of_instance.with_options(name="other"),
        )
    ]


@as_with_flow_and_runner
def test_a_run_is_a_crash_if_it_is_interrupted(flow):
    """The state and the error."""

    @flow(name="interrupted")
    def interrupted() -> None:
        raise SystemExit(3)

    seen = []
    interrupted.on_crashed(lambda _flow, _run, state: seen.append((state.name, state.message)))
    try:
        interrupted()
    except SystemExit as error:
        seen.append(error.code)
    return seen


@as_with_flow_and_runner
def test_a_state_that_is_not_final_may_be_returned(flow):
    """Prefect makes of it what it does."""
    return ending(_end(flow, lambda: [Running()], name="running"))[:2]
