"""The decorator that makes a function a flow with a session."""

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from prefect_qsession.credentials import QiskitRuntimeCredentials
from prefect_qsession.durations import Duration
from prefect_qsession.flow_run_sessions import FlowRunSession, outcome_after, session_owned_by
from prefect_qsession.records import LeastBusy
from prefect_qsession.states import Outcome
from prefect_qsession.task_runners import SessionTaskRunner

P = ParamSpec("P")
R = TypeVar("R")


def session_flow(
    credentials: str | QiskitRuntimeCredentials | None = None,
    *,
    backend: str | LeastBusy | None = None,
    max_time: Duration | None = None,
    max_workers: int | None = None,
    **flow_options: Any,
) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """
    Make the function a flow whose quantum jobs all run in one session, released when its body ends.

    It is `flow(task_runner=SessionTaskRunner(...))` and one thing more: the session is released as
    soon as the body returns or raises, with the error at hand, before Prefect reports the final
    state. A server that cannot be reached then, or a retry that waits, costs no session time.

    Args:
        credentials: As `SessionTaskRunner` takes it.
        backend: As `SessionTaskRunner` takes it.
        max_time: As `SessionTaskRunner` takes it.
        max_workers: As `SessionTaskRunner` takes it.
        flow_options: Every option of `prefect.flow`.

    Raises:
        InvalidMaxTime: `max_time` is no duration.
    """
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
            with _released_on_error() as session:
                async with aclosing(call(*args, **kwargs)) as items:
                    async for item in items:
                        yield item
                _release_after_return(session, None)

    elif inspect.isgeneratorfunction(function):

        @wraps(function)
        def body(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, Any]:
            with _released_on_error() as session:
                value = yield from call(*args, **kwargs)
                _release_after_return(session, value)
                return value

    elif inspect.iscoroutinefunction(function):

        @wraps(function)
        async def body(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _released_on_error() as session:
                value = await call(*args, **kwargs)
                _release_after_return(session, value)
                return value

    else:

        @wraps(function)
        def body(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _released_on_error() as session:
                value = call(*args, **kwargs)
                _release_after_return(session, value)
                return value

    return body  # type: ignore[no-any-return]


@contextmanager
def _released_on_error() -> Iterator[FlowRunSession | None]:
    """
    Release the session of the flow run whose body runs inside, if that raises; hand it out
    otherwise.

    None where the body is called as a plain function, or with another task runner. The release
    blocks an async flow's event loop: to await it would let a second cancellation in before the
    session is gone.
    """
    context = FlowRunContext.get()
    session = session_owned_by(context)
    if context is not None and session is not None:
        session.adopt(context)
    try:
        yield session
    except BaseException as error:
        if session is not None:
            session.release(outcome_after(type(error)))
        raise


def _release_after_return(session: FlowRunSession | None, value: object) -> None:
    """Close the session, unless Prefect has yet to make the final state from the value."""
    values = value if isinstance(value, list | tuple | set) else (value,)
    undecided = any(isinstance(item, State | PrefectFuture) for item in values)
    if session is not None and not undecided:
        session.release(Outcome.CLOSE)
