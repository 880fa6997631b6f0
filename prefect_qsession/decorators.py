"""The decorator that makes a function a flow with a session."""

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.flows import FlowStateHook
from prefect.futures import PrefectFuture
from prefect.results import ResultSerializer, ResultStorage
from prefect.task_runners import TaskRunner
from prefect.utilities.collections import visit_collection

from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.config.options import OPTIONS, SessionOptions, shows_options
from prefect_qsession.credentials import QiskitRuntimeCredentials
from prefect_qsession.hooks import release_recorded_sessions
from prefect_qsession.policies import SessionPolicy
from prefect_qsession.session.flow_run_sessions import FlowRunSession, session_owned_by
from prefect_qsession.states import Release
from prefect_qsession.task_runners import SessionTaskRunner

P = ParamSpec("P")
R = TypeVar("R")


class SessionFlowOptions(SessionOptions, total=False):
    """Beside them, for editors, those of Prefect's `flow`; what else it takes is passed on too."""

    name: str | None
    version: str | None
    flow_run_name: Callable[[], str] | str | None
    retries: int | None
    retry_delay_seconds: float | None
    description: str | None
    timeout_seconds: float | None
    validate_parameters: bool
    persist_result: bool | None
    result_storage: ResultStorage | None
    result_serializer: ResultSerializer | None
    cache_result_in_memory: bool
    log_prints: bool | None
    on_completion: list[FlowStateHook[..., Any]] | None
    on_failure: list[FlowStateHook[..., Any]] | None
    on_cancellation: list[FlowStateHook[..., Any]] | None
    on_crashed: list[FlowStateHook[..., Any]] | None
    on_running: list[FlowStateHook[..., Any]] | None


@overload
def session_flow(credentials: Callable[P, R], /) -> Flow[P, R]: ...


@overload
def session_flow(
    credentials: str | QiskitRuntimeCredentials | None = None,
    *,
    backend: str | LeastBusy | None = None,
    policy: str | SessionPolicy | None = None,
    task_runner: TaskRunner[Any] | None = None,
    max_workers: int | None = None,
    **options: Unpack[SessionFlowOptions],
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...


@shows_options
def session_flow(
    credentials: str | QiskitRuntimeCredentials | Callable[..., Any] | None = None,
    *,
    backend: str | LeastBusy | None = None,
    policy: str | SessionPolicy | None = None,
    task_runner: TaskRunner[Any] | None = None,
    max_workers: int | None = None,
    **options: Any,
) -> Any:
    """
    Make the function a flow whose quantum jobs all run in one session, released as its body ends.

    It is `flow(task_runner=SessionTaskRunner(...))` and two things more. The session is released as
    soon as the body returns or raises, with the error at hand, before Prefect reports the final
    state: a server that cannot be reached then costs no session time. And hooks for cancellation
    and crash are attached, which Prefect's runner or worker calls when the flow's process is dead.
    Without arguments, as a bare `@session_flow`, everything comes from the settings.

    Args:
        credentials: As `SessionTaskRunner` takes it.
        backend: As `SessionTaskRunner` takes it.
        policy: As `SessionTaskRunner` takes it.
        task_runner: As `SessionTaskRunner` takes it: it runs the tasks, inside the session.
        max_workers: As `SessionTaskRunner` takes it.
        options: Those of the session, as `SessionTaskRunner` takes them, and every other option of
            `prefect.flow`.

    Raises:
        InvalidMaxTime: `max_time` is no duration.
        InvalidSetting: Another option of the session is not of the right kind.
        TypeError: Both a task runner and `max_workers` are given, or the task runner is a
            `SessionTaskRunner`, which a session flow brings itself.
    """
    if callable(credentials):
        return session_flow()(credentials)
    ours = {name: options.pop(name) for name in OPTIONS if name in options}
    runner = SessionTaskRunner(
        credentials,
        backend=backend,
        policy=policy,
        task_runner=task_runner,
        max_workers=max_workers,
        **cast("SessionOptions", ours),
    )

    # Here, so that they are there wherever the flow is imported: Prefect's runner or worker calls
    # them in a process of its own, when the flow's process is dead.
    for hooks in ("on_cancellation", "on_crashed"):
        options[hooks] = [release_recorded_sessions, *(options.get(hooks) or ())]

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        return flow(task_runner=cast("Any", runner), **options)(_releasing(function))

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
            # An async generator that its caller leaves: Prefect cannot throw into it, and reports
            # the flow run as failed, or not at all. Its exit may come before this, or after.
            if isinstance(error, GeneratorExit) and inspect.isasyncgenfunction(body):
                session.release(Release.CANCEL)
            session.release_after(error)
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
        session.release(Release.CLOSE)
