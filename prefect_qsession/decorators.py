"""The decorator that makes a function a flow with a session, and that flow."""

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from prefect import Flow
from prefect.context import FlowRunContext
from prefect.flows import FlowStateHook
from prefect.results import ResultSerializer, ResultStorage
from prefect.task_runners import TaskRunner

from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.config.options import (
    OPTIONS,
    SessionOptions,
    refuse_unknown,
    shows_options,
)
from prefect_qsession.credentials import QiskitRuntimeCredentials
from prefect_qsession.hooks import release_recorded_sessions
from prefect_qsession.policies import SessionPolicy
from prefect_qsession.session.bodies import releasing
from prefect_qsession.session.flow_run_sessions import session_owned_by
from prefect_qsession.task_runners import SessionTaskRunner

P = ParamSpec("P")
R = TypeVar("R")

_, _, *_FLOW_OPTIONS = inspect.signature(Flow.__init__).parameters.values()
_, *_WITH_OPTIONS = inspect.signature(Flow.with_options).parameters.values()


class FlowOptions(SessionOptions, total=False):
    """The session's and, for editors, those of Prefect's `flow`; others of it go on to it, too."""

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


class SessionFlow(Flow[P, R]):
    """
    A flow whose quantum jobs all run in one session; `session_flow` makes it.

    It is Prefect's own flow of the user's own function. When the function is called as the body of
    a flow run, the session is released around it; and Prefect's runner or worker finds hooks that
    release it when the flow's process is dead.

    Args:
        fn: The function.
        task_runner: Holds the session.
        options: Every other option of `prefect.Flow`.
    """

    def __init__(
        self, fn: Callable[P, R], *, task_runner: SessionTaskRunner, **options: Any
    ) -> None:
        super().__init__(fn, task_runner=cast("Any", task_runner), **options)
        self._attach_hooks()

    @property
    def fn(self) -> Callable[P, R]:
        """
        The function, as it was given.

        To Prefect's engine, which asks for it to call it, and to nobody else, it is the function
        with the release around it: in the context of a run of this very flow, with the task runner
        that Prefect has entered for it, and before the body has begun.
        """
        function = cast("Callable[P, R]", vars(self)["fn"])
        context = FlowRunContext.get()
        if context is None or context.flow is not self or context.detached:
            return function
        session = session_owned_by(context)
        if session is None or session.has_begun:
            return function
        return releasing(function, session, context)

    @fn.setter
    def fn(self, function: Callable[P, R]) -> None:
        # Under the same name, for Prefect copies a flow by its attributes.
        vars(self)["fn"] = function

    @shows_options(*_WITH_OPTIONS)
    def with_options(  # type: ignore[override]  # it takes more, and by other declarations
        self,
        *,
        credentials: str | QiskitRuntimeCredentials | None = None,
        backend: str | LeastBusy | None = None,
        policy: str | SessionPolicy | None = None,
        task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
        max_workers: int | None = None,
        **options: Unpack[FlowOptions],
    ) -> "SessionFlow[P, R]":
        """
        Return the same flow with other options: Prefect's, the session's, or both.

        The session keeps what is not said anew. Its hooks stay beside those that are given here,
        and a task runner runs the tasks inside the session.

        Args:
            credentials: As `session_flow` takes it.
            backend: As `session_flow` takes it.
            policy: As `session_flow` takes it.
            task_runner: As `session_flow` takes it.
            max_workers: As `session_flow` takes it.
            options: Those of the session, and every other option of `Flow.with_options`.

        Raises:
            InvalidMaxTime: `max_time` is no duration.
            InvalidSetting: Another option of the session is not of the right kind.
            TypeError: There is no such option, or the task runner is none, or one that takes no
                `max_workers`.
        """
        refuse_unknown(options, inspect.signature(self.with_options).parameters)
        ours, prefects = _sorted(options)
        runner = self._session_runner().with_options(
            credentials,
            backend=backend,
            policy=policy,
            task_runner=task_runner,
            max_workers=max_workers,
            **ours,
        )
        changed = super().with_options(task_runner=cast("Any", runner), **prefects)
        # Prefect makes a plain flow of it.
        flow = type(self).__new__(type(self))
        vars(flow).update(vars(changed))
        flow._attach_hooks()  # noqa: SLF001 - it is of this class
        return flow

    def _session_runner(self) -> SessionTaskRunner:
        return cast("SessionTaskRunner", self.task_runner)

    def _attach_hooks(self) -> None:
        # Here, so that they are there wherever the flow is imported: Prefect's runner or worker
        # calls them in a process of its own, when the flow's process is dead.
        ours = release_recorded_sessions
        for name in ("on_cancellation_hooks", "on_crashed_hooks"):
            users = [hook for hook in getattr(self, name) if hook is not ours]
            setattr(self, name, [ours, *users])


@overload
def session_flow(
    function: Callable[P, R],
    /,
    *,
    credentials: str | QiskitRuntimeCredentials | None = None,
    backend: str | LeastBusy | None = None,
    policy: str | SessionPolicy | None = None,
    task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
    max_workers: int | None = None,
    **options: Unpack[FlowOptions],
) -> SessionFlow[P, R]: ...


@overload
def session_flow(
    credentials: str | QiskitRuntimeCredentials | None = None,
    *,
    backend: str | LeastBusy | None = None,
    policy: str | SessionPolicy | None = None,
    task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
    max_workers: int | None = None,
    **options: Unpack[FlowOptions],
) -> Callable[[Callable[P, R]], SessionFlow[P, R]]: ...


@shows_options(*_FLOW_OPTIONS)
def session_flow(
    function_or_credentials: Any = None,
    /,
    *,
    credentials: str | QiskitRuntimeCredentials | None = None,
    backend: str | LeastBusy | None = None,
    policy: str | SessionPolicy | None = None,
    task_runner: TaskRunner[Any] | type[TaskRunner[Any]] | None = None,
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
        function_or_credentials: The function, or credentials as `SessionTaskRunner` takes them.
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
        TypeError: There is no such option; both a task runner and `max_workers` are given; the
            task runner is none, or a `SessionTaskRunner`, which a session flow brings itself; or
            what is to be decorated is a flow already.
    """
    refuse_unknown(options, inspect.signature(session_flow).parameters)
    function = None
    if callable(function_or_credentials) or isinstance(function_or_credentials, classmethod):
        function = function_or_credentials
    elif function_or_credentials is not None:
        if credentials is not None:
            raise TypeError("session_flow() got its credentials twice, by position and by name")
        credentials = function_or_credentials
    ours, prefects = _sorted(options)
    runner = SessionTaskRunner(
        credentials,
        backend=backend,
        policy=policy,
        task_runner=task_runner,
        max_workers=max_workers,
        **ours,
    )

    def decorate(function: Callable[P, R]) -> SessionFlow[P, R]:
        if isinstance(function, Flow):
            raise TypeError(
                f"{function.name!r} is a flow already. Decorate its function, with @session_flow in"
                " the place of @flow; of a flow that is not yours, that is its `fn`"
            )
        return SessionFlow(function, task_runner=runner, **prefects)

    return decorate if function is None else decorate(function)


session_flow.from_source = SessionFlow.from_source  # type: ignore[attr-defined]  # as `flow` has it


def _sorted(options: Any) -> tuple[SessionOptions, dict[str, Any]]:
    """Return the options of the session, and those of Prefect's flow."""
    ours = {name: said for name, said in options.items() if name in OPTIONS}
    prefects = {name: said for name, said in options.items() if name not in OPTIONS}
    return cast("SessionOptions", ours), prefects
