"""The body of a flow, of any of Prefect's four kinds, and the release of the session at its end."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterator
from concurrent.futures import Future
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import fields, is_dataclass
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from anyio import CancelScope
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from pydantic import BaseModel

from prefect_qsession.prefect_api.threads import start_thread
from prefect_qsession.session.flow_run_sessions import FlowRunSession
from prefect_qsession.states import Release

P = ParamSpec("P")
R = TypeVar("R")

_UNDECIDED = (State, PrefectFuture)
_COLLECTIONS = (list, tuple, set, dict, BaseModel)
"""Beside data classes, what Prefect looks into for futures; its annotations are tuples."""


def releasing(
    function: Callable[P, R], session: FlowRunSession, context: FlowRunContext
) -> Callable[P, R]:
    """
    Return the body of a flow run, with the release of its session around it.

    It is released as soon as the body returns or raises, with the error at hand. An async flow's
    event loop goes on meanwhile.
    """
    body: Any
    call: Any = function
    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def body(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Any]:
            async with _released_off_the_loop(session, context, if_left=Release.CANCEL):
                async with aclosing(call(*args, **kwargs)) as items:
                    async for item in items:
                        yield item
                await _off_the_loop(partial(session.release, Release.CLOSE))

    elif inspect.isgeneratorfunction(function):

        @wraps(function)
        def body(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, Any]:
            with _released_on_error(session, context):
                value = yield from call(*args, **kwargs)
                _release_after_return(session, value)
                return value

    elif inspect.iscoroutinefunction(function):

        @wraps(function)
        async def body(*args: P.args, **kwargs: P.kwargs) -> Any:
            async with _released_off_the_loop(session, context):
                value = await call(*args, **kwargs)
                await _off_the_loop(partial(_release_after_return, session, value))
                return value

    else:

        @wraps(function)
        def body(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _released_on_error(session, context):
                value = call(*args, **kwargs)
                _release_after_return(session, value)
                return value

    return body  # type: ignore[no-any-return]


@contextmanager
def _released_on_error(session: FlowRunSession, context: FlowRunContext) -> Iterator[None]:
    """Release the session of the flow run whose body runs inside, if that raises."""
    session.enter_body(context)
    try:
        yield
    except BaseException as error:
        session.release_after(error)
        raise


@asynccontextmanager
async def _released_off_the_loop(
    session: FlowRunSession, context: FlowRunContext, if_left: Release | None = None
) -> AsyncIterator[None]:
    """
    Release the session of the flow run whose body runs inside, if that raises; the loop goes on.

    Args:
        session: Of the flow run.
        context: Of the flow run.
        if_left: How, if its caller leaves the body, other than a failure says it.
    """
    session.enter_body(context)
    try:
        yield
    except GeneratorExit as error:
        # Nothing can be awaited here. An async generator that its caller leaves: Prefect cannot
        # throw into it, and reports the flow run as failed, or not at all. Its exit may come before
        # this, or after.
        if if_left is not None:
            session.release(if_left)
        session.release_after(error)
        raise
    except BaseException as error:
        await _off_the_loop(partial(session.release_after, error))
        raise


async def _off_the_loop(release: Callable[[], None]) -> None:
    """
    Release in a thread, and return when that is over, however often this is cancelled meanwhile.

    A cancellation is raised then: before, it would let the process end before the session is gone.
    """
    over: Future[None] = Future()

    def run() -> None:
        try:
            release()
            over.set_result(None)
        except BaseException as error:  # noqa: BLE001 - raised below
            over.set_exception(error)

    # Of its own: those of the loop may all be waiting for jobs of this session.
    start_thread(run, "qsession-release")
    waited = asyncio.wrap_future(over)
    cancelled: asyncio.CancelledError | None = None
    # A scope of anyio's that is cancelled, as by a flow's timeout, would do so again and again.
    with CancelScope(shield=True):
        while not waited.done():
            try:
                await asyncio.wait((waited,))
            except asyncio.CancelledError as error:
                cancelled = error
    waited.result()
    if cancelled is not None:
        raise cancelled


def _release_after_return(session: FlowRunSession, value: object) -> None:
    """Close the session, unless Prefect has yet to make the final state from the value."""
    if not holds_undecided(value):
        session.release(Release.CLOSE)


def holds_undecided(value: object) -> bool:
    """
    Whether a state or a future is in the value, at any depth where Prefect looks for one.

    Futures are waited for after the body, and a state may be a failure. The session is open while
    this is asked, and a value may have millions of numbers in it: so it looks at the types of a
    collection's items, and at an item only if its type can hold something.
    """
    seen: set[int] = set()
    ahead = [value]
    while ahead:
        item = ahead.pop()
        if isinstance(item, _UNDECIDED):
            return True
        if id(item) in seen:
            continue
        seen.add(id(item))
        for parts in _parts(item):
            kinds = set(map(type, parts))
            if any(issubclass(kind, _UNDECIDED) for kind in kinds):
                return True
            holding = {it for it in kinds if issubclass(it, _COLLECTIONS) or is_dataclass(it)}
            if holding:
                ahead.extend(part for part in parts if type(part) in holding)
    return False


def _parts(item: object) -> Iterator[Collection[object]]:
    if isinstance(item, list | tuple | set):
        yield item
    elif isinstance(item, dict):
        yield item.keys()
        yield item.values()
    elif isinstance(item, BaseModel):
        yield dict(item).values()
    elif is_dataclass(item) and not isinstance(item, type):
        yield [getattr(item, field.name) for field in fields(item)]
