"""What tasks do in a flow, they do inside our task runner as in Prefect's."""

import asyncio
import threading
from datetime import timedelta
from uuid import uuid4

from prefect import allow_failure, runtime, task, unmapped
from prefect.cache_policies import INPUTS
from prefect.context import TaskRunContext
from prefect.futures import PrefectFuture, as_completed, wait
from prefect.settings import PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff
from prefect.transactions import transaction
from prefect.utilities.annotations import quote

from tests.harness.waiting import wait_until
from tests.integration.parity import as_with_flow_and_runner, ending, logged, value_or_error


class Oops(Exception):
    """What the tasks of these tests raise."""


@task
def double(x: int) -> int:
    """Double a number."""
    return 2 * x


@task
def fail(x: int = 1) -> int:
    """Fail."""
    raise Oops(x)


@task
async def double_async(x: int) -> int:
    """Double a number, asynchronously."""
    await asyncio.sleep(0)
    return 2 * x


def _in_a_flow(flow, body, **options):
    """Run a function as a flow, and return how that ended."""
    return ending(flow(**options)(body)(return_state=True))


@as_with_flow_and_runner
def test_tasks_are_called_submitted_and_mapped(flow):
    """And give their results, or their states."""

    def body() -> list:
        futures = double.map([1, 2, 3])
        return [
            double(1),
            double(1, return_state=True).name,
            double.submit(2).result(),
            double.submit(2, return_state=True).name,
            double_async.submit(4).result(),
            futures.result(),
            [future.state.name for future in futures],
            [state.name for state in double.map([1, 2], return_state=True)],
            fail(return_state=True).name,
            fail.submit(return_state=True).name,
        ]

    return _in_a_flow(flow, body)


@as_with_flow_and_runner
def test_async_flows_use_tasks_in_every_way(flow):
    """Awaited, submitted and mapped."""

    async def body() -> list:
        return [
            await double_async(1),
            double(2),
            double.submit(3).result(),
            double_async.map([4, 5]).result(),
            await asyncio.gather(double_async(6), double_async(7)),
        ]

    return ending(asyncio.run(flow(body)(return_state=True)))


@as_with_flow_and_runner
def test_values_are_mapped_as_they_are_marked(flow):
    """Unmapped, quoted, by default, of lengths that differ, of none."""

    @task
    def told(x: object, y: object = 3, *rest: object, **named: object) -> str:
        return f"{x} {y} {rest} {named}"

    def body() -> list:
        return [
            told.map([1, 2], unmapped([8, 9])).result(),
            told.map([1, 2], y=[3, 4], z=unmapped(5)).result(),
            told.map(double.map([1, 2]), quote([5, 6])).result(),
            told.map(double.submit(1), [5, 6]).result(),
            value_or_error(lambda: told.map([1, 2], [3])),
            value_or_error(lambda: told.map(1)),
            told.map([]).result(),
        ]

    return _in_a_flow(flow, body)


@as_with_flow_and_runner
def test_tasks_depend_on_tasks(flow):
    """By their results, or by `wait_for`; failures upstream are told."""

    def body() -> list:
        failed = fail.submit()
        return [
            double.submit(double.submit(double.submit(1))).result(),
            double.submit(1, wait_for=[double.submit(3)]).result(),
            double.submit(1, wait_for=[failed]).wait() or "waited",
            double.submit(failed, return_state=True).name,
            double.submit(1, wait_for=[allow_failure(failed)]).result(),
        ]

    return _in_a_flow(flow, body)


@as_with_flow_and_runner
def test_a_flow_fails_with_the_tasks_it_returns(flow):
    """Futures at any depth, or their states."""
    bodies = [
        lambda: [double.submit(1), fail.submit()],
        lambda: fail(return_state=True),
        lambda: {"deep": [double.submit(1)]},
        lambda: double.map([1, 2]),
        lambda: (double.submit(1), 5),
    ]

    def shape(state):
        value = value_or_error(state.result)
        return state.name, state.message, type(value)

    return [shape(flow(name="returns")(body)(return_state=True)) for body in bodies]


@as_with_flow_and_runner
def test_tasks_run_side_by_side(flow):
    """As many as are submitted; or as many as the runner has threads."""
    barrier = threading.Barrier(3)

    @task
    def meet(_: int) -> bool:
        return barrier.wait(20) >= 0

    @task
    def thread(_: int) -> int:
        return threading.get_ident()

    def one_by_one() -> int:
        return len(set(thread.map(range(4)).result()))

    with temporary_settings({PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS: 1}):
        by_setting = _in_a_flow(flow, one_by_one)
    return (
        _in_a_flow(flow, lambda: meet.map(range(3)).result(), name="meets"),
        _in_a_flow(flow, one_by_one, task_runner=ThreadPoolTaskRunner(max_workers=1)),
        by_setting,
    )


@as_with_flow_and_runner
def test_a_nested_submit_in_a_full_pool_is_warned_of(flow):
    """By Prefect's own words."""

    @task
    def nest(submitted: threading.Event) -> str:
        submitted.wait(20)
        double.submit(1)
        return "nested"

    def body() -> str:
        submitted = threading.Event()
        future = nest.submit(quote(submitted))
        submitted.set()
        return future.result()

    with logged("prefect.task_runner.threadpool") as messages:
        ended = _in_a_flow(flow, body, task_runner=ThreadPoolTaskRunner(max_workers=1))
    return ended, ["deadlock" in message for message in messages if "Submitting task" in message]


@as_with_flow_and_runner
def test_a_runner_is_taken_by_its_class(flow):
    """As Prefect takes it, when it is defined or later."""

    def body() -> int:
        return double.submit(1).result()

    return (
        _in_a_flow(flow, body, task_runner=ThreadPoolTaskRunner),
        ending(
            flow(name="later")(body).with_options(task_runner=ThreadPoolTaskRunner)(
                return_state=True
            )
        ),
    )


@as_with_flow_and_runner
def test_tasks_are_tried_again(flow):
    """With delays, or only if it makes sense."""
    tried = []

    @task(retries=2, retry_delay_seconds=[0, 0])
    def fails_twice() -> int:
        tried.append(runtime.task_run.run_count)
        if len(tried) % 3:
            raise Oops
        return len(tried)

    @task(
        retries=2, retry_delay_seconds=exponential_backoff(1), retry_condition_fn=lambda *_: False
    )
    def hopeless() -> None:
        tried.append("hopeless")
        raise Oops

    def body() -> list:
        return [
            fails_twice.submit().result(),
            fails_twice(),
            hopeless(return_state=True).name,
        ]

    return _in_a_flow(flow, body), tried


@as_with_flow_and_runner
def test_tasks_that_take_too_long_fail(flow):
    """In a thread, too."""

    @task(timeout_seconds=0.3)
    async def waits() -> None:
        await asyncio.Event().wait()

    return _in_a_flow(flow, lambda: waits.submit(return_state=True).name, name="timeout")


@as_with_flow_and_runner
def test_results_of_tasks_are_cached(flow):
    """By their inputs, for as long as they say."""
    made = []
    key = uuid4().hex

    @task(cache_policy=INPUTS, persist_result=True, cache_expiration=timedelta(hours=1))
    def cached(x: int, key: str) -> int:
        made.append(x)
        return x

    def body() -> list:
        first = [cached(1, key), cached.submit(2, key).result(), cached(1, key)]
        return [*first, cached(1, key, return_state=True).name]

    return _in_a_flow(flow, body), made


@as_with_flow_and_runner
def test_transactions_are_rolled_back(flow):
    """What was done inside is undone if it fails."""
    told = []

    @task
    def write(x: int) -> int:
        told.append(("write", x))
        return x

    @write.on_rollback
    def undo(transaction):
        told.append("undo")

    @write.on_commit
    def commit(transaction):
        told.append("commit")

    def well() -> None:
        with transaction():
            write(1)

    def badly() -> None:
        with transaction():
            write(2)
            raise Oops

    return _in_a_flow(flow, well), _in_a_flow(flow, badly), told


@as_with_flow_and_runner
def test_hooks_of_tasks_are_called(flow):
    """With the task, the run and the state."""
    told = []

    def tell(task, task_run, state):
        told.append((task.name, state.name))

    watched = [
        it.with_options(on_completion=[tell], on_failure=[tell], on_running=[tell])
        for it in (double, fail)
    ]

    def body() -> None:
        watched[0].submit(1).result()
        watched[1].submit(1).wait()

    return _in_a_flow(flow, body), told


@as_with_flow_and_runner
def test_tasks_know_where_they_run(flow):
    """Their names, tags, parameters and parents."""

    @task(task_run_name="of-{x}", tags=["mine"])
    def knows(x: int) -> tuple:
        me, context = runtime.task_run, TaskRunContext.get()
        return (
            me.name,
            sorted(me.tags),
            me.parameters,
            context.task.name,
            runtime.flow_run.flow_name,
        )

    @task
    def around() -> list:
        return [knows(1), knows.submit(2).result()]

    def body() -> list:
        return [knows(3), *around.submit().result(), *knows.map([4]).result()]

    return _in_a_flow(flow, body, name="known")


@as_with_flow_and_runner
def test_futures_are_waited_for(flow):
    """All, some, in the order they are done, or not for long."""

    def body() -> list:
        release = threading.Event()

        @task
        def waits() -> str:
            release.wait(20)
            return "done"

        future = waits.submit()
        quick = double.submit(1)
        first = next(as_completed([future, quick]))
        impatient = value_or_error(lambda: future.result(timeout=0.1))
        undone = wait([future], timeout=0.1).not_done
        done = []
        # Not in which state: Prefect may call it before that is known.
        future.add_done_callback(lambda it: done.append(it is future))
        release.set()
        wait_until(lambda: done)
        return [first is quick, impatient[0], len(undone), future.result(), done]

    return _in_a_flow(flow, body)


@as_with_flow_and_runner
def test_what_is_still_running_at_the_end_is_waited_for(flow):
    """Or cancelled, if it has not begun."""
    ran = []
    began, go_on = threading.Event(), threading.Event()

    @task
    def late(x: int) -> None:
        began.set()
        go_on.wait(20)
        ran.append(x)

    def body() -> str:
        late.submit(1)
        late.submit(2)
        began.wait(20)
        go_on.set()
        return "over"

    runner = ThreadPoolTaskRunner(max_workers=1)
    ended = _in_a_flow(flow, body, task_runner=runner)
    return ended, ran[:1]


@as_with_flow_and_runner
def test_background_tasks_are_deferred(flow):
    """They wait for a worker, whoever sends them."""

    def body() -> tuple:
        future = double.delay(1)
        return isinstance(future, PrefectFuture), future.state.name

    return _in_a_flow(flow, body)
