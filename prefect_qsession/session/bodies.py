"""The body of a flow, of any of Prefect's four kinds, and the release of the session at its end."""

import inspect
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from pydantic import BaseModel

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

    It is released as soon as the body returns or raises, with the error at hand. That blocks an
    async flow's event loop: to await it would let a second cancellation in before the session is
    gone.
    """
    body: Any
    call: Any = function
    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def body(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Any]:
            with _released_on_error(session, context, if_left=Release.CANCEL):
                async with aclosing(call(*args, **kwargs)) as items:
                    async for item in items:
                        yield item
                session.release(Release.CLOSE)

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
            with _released_on_error(session, context):
                value = await call(*args, **kwargs)
                _release_after_return(session, value)
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
def _released_on_error(
    session: FlowRunSession, context: FlowRunContext, if_left: Release | None = None
) -> Iterator[None]:
    """
    Release the session of the flow run whose body runs inside, if that raises.

    Args:
        session: Of the flow run.
        context: Of the flow run.
        if_left: How, if the caller leaves the generator, other than a failure says it.
    """
    session.enter_body(context)
    try:
        yield
    except BaseException as error:
        # An async generator that its caller leaves: Prefect cannot throw into it, and reports the
        # flow run as failed, or not at all. Its exit may come before this, or after.
        if if_left is not None and isinstance(error, GeneratorExit):
            session.release(if_left)
        session.release_after(error)
        raise


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
