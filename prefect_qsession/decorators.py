"""The decorator that makes a function a flow with a session."""

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast, overload

from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.utilities.collections import visit_collection

from prefect_qsession.credentials import QiskitRuntimeCredentials
from prefect_qsession.durations import Duration
from prefect_qsession.flow_run_sessions import FlowRunSession, outcome_after, session_owned_by
from prefect_qsession.records import LeastBusy
from prefect_qsession.states import Outcome
from prefect_qsession.task_runners import SessionTaskRunner

P = ParamSpec("P")
R = TypeVar("R")


@overload
def session_flow(credentials: Callable[P, R], /) -> Flow[P, R]: ...


@overload
def session_flow(
    credentials: str | QiskitRuntimeCredentials | None = None,
    *,
    backend: str | LeastBusy | None = None,
    max_time: Duration | None = None,
    max_workers: int | None = None,
    **flow_options: Any,
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...


def session_flow(
    credentials: str | QiskitRuntimeCredentials | Callable[..., Any] | None = None,
    *,
    backend: str | LeastBusy | None = None,
    max_time: Duration | None = None,
    max_workers: int | None = None,
    **flow_options: Any,
) -> Any:
    """
    Make the function a flow whose quantum jobs all run in one session, released as its body ends.

    It is `flow(task_runner=SessionTaskRunner(...))` and one thing more: the session is released as
    soon as the body returns or raises, with the error at hand, before Prefect reports the final
    state. A server that cannot be reached then, or a retry that waits, costs no session time.
    Without arguments, as a bare `@session_flow`, everything comes from the settings.

    Args:
        credentials: As `SessionTaskRunner` takes it.
        backend: As `SessionTaskRunner` takes it.
        max_time: As `SessionTaskRunner` takes it.
        max_workers: As `SessionTaskRunner` takes it.
        flow_options: Every other option of `prefect.flow`.

    Raises:
        InvalidMaxTime: `max_time` is no duration.
        TypeError: `task_runner` is among the options; a session flow brings its own.
    """
    if callable(credentials):
        return session_flow()(credentials)
    if "task_runner" in flow_options:
        raise TypeError(
            "A session flow brings its own task runner. For another one, "
            "use @flow(task_runner=...) and call session flows from it."
        )
    runner = SessionTaskRunner(
        credentials, backend=backend, max_time=max_time, max_workers=max_workers
    )

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        return flow(task_runner=cast("Any", runner), **flow_options)(_releasing(function))

    return decorate


def _releasing(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a flow's body, of any of Prefect's four kinds, so that its end is noticed."""
    body: Any
    call: Any = function
    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def body(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Any]:
            with _released_on_error(body) as session:
                async with aclosing(call(*args, **kwargs)) as items:
                    async for item in items:
                        yield item
                _release_after_return(session, None)

    elif inspect.isgeneratorfunction(function):

        @wraps(function)
        def body(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, Any]:
            with _released_on_error(body) as session:
                value = yield from call(*args, **kwargs)
                _release_after_return(session, value)
                return value

    elif inspect.iscoroutinefunction(function):

        @wraps(function)
        async def body(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _released_on_error(body) as session:
                value = await call(*args, **kwargs)
                _release_after_return(session, value)
                return value

    else:

        @wraps(function)
        def body(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _released_on_error(body) as session:
                value = call(*args, **kwargs)
                _release_after_return(session, value)
                return value

    return body  # type: ignore[no-any-return]


@contextmanager
def _released_on_error(body: Callable[..., Any]) -> Iterator[FlowRunSession | None]:
    """
    Release the session of the flow run whose body runs inside, if that raises; hand it out else.

    None where the body is called as a plain function, or with another task runner. The release
    blocks an async flow's event loop: to await it would let a second cancellation in before the
    session is gone.
    """
    context = FlowRunContext.get()
    session: FlowRunSession | None = None
    # Another flow's session is not ours to release, nor is our own when the body calls itself.
    if context is not None and context.flow is not None and context.flow.fn is body:
        session = session_owned_by(context)
        if session is not None and not session.enter_body(context):
            session = None
    try:
        yield session
    except BaseException as error:
        if session is not None:
            session.release(outcome_after(type(error)))
        raise


def _release_after_return(session: FlowRunSession | None, value: object) -> None:
    """Close the session, unless Prefect has yet to make the final state from the value."""
    if session is None:
        return
    undecided: list[object] = []

    def note(item: object) -> None:
        if isinstance(item, State | PrefectFuture):
            undecided.append(item)

    # As Prefect looks for them: futures at any depth are waited for after the body.
    visit_collection(value, visit_fn=note, return_data=False)
    if not undecided:
        session.release(Outcome.CLOSE)
