"""What Prefect makes of a function, it makes of it with `session_flow` as well."""

import inspect
import warnings
from functools import partial, update_wrapper
from typing import Any

import cloudpickle
import pytest
from prefect import flow, task
from prefect.exceptions import ParameterTypeError
from prefect.filesystems import LocalFileSystem
from prefect.settings import PREFECT_FLOW_DEFAULT_RETRIES, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, Field

from prefect_qsession import SessionTaskRunner, session_flow
from prefect_qsession.decorators import SessionFlow
from prefect_qsession.hooks import release_recorded_sessions
from tests.integration.parity import as_with_flow, users, value_or_error


class Size(BaseModel):
    """A parameter of the user's own type."""

    width: int = Field(1, description="How wide.", ge=1)


def plain(size: Size, names: list[str] | None = None, *, deep: bool = False) -> str:
    """
    Do what the user wants.

    Args:
        size: How large.
        names: Of whom.
        deep: Whether deep.
    """
    return f"{size.width} {names} {deep}"


async def awaited(number: int = 1) -> int:
    """Do it asynchronously."""
    return number


def yielding(number: int = 1):
    """Do it piece by piece."""
    yield number


async def yielding_async(number: int = 1):
    """Do it both ways."""
    yield number


def kept(*_):
    """Stand for a hook of the user's."""


def described(it: Any) -> dict[str, Any]:
    """Return all that Prefect keeps of a flow, but for what is meant to differ."""
    told = {name: value for name, value in vars(it).items() if name != "task_runner"}
    for hooks in ("on_cancellation_hooks", "on_crashed_hooks"):
        told[hooks] = users(told[hooks])
    told["fn"] = it.fn
    told["is a method"] = (it.ismethod, it.isclassmethod, it.isstaticmethod)
    told["called as"] = inspect.signature(it)
    return told


@pytest.mark.parametrize("function", [plain, awaited, yielding, yielding_async])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"name": "mine", "version": "7", "description": "What it does."},
        {"retries": 2, "retry_delay_seconds": 3, "timeout_seconds": 4, "log_prints": True},
        {"flow_run_name": "run-{number}", "validate_parameters": False},
        {"persist_result": True, "result_serializer": "json", "cache_result_in_memory": False},
        {"result_storage": "local-file-system/mine"},
        {
            f"on_{when}": [kept]
            for when in ("completion", "failure", "cancellation", "crashed", "running")
        },
    ],
    ids=lambda options: " ".join(options) if isinstance(options, dict) else options.__name__,
)
def test_a_flow_is_described_as_prefect_does(function, options):
    """The user's own function, its name, version, parameters, kind, and every option."""
    expected = described(flow(**options)(function))

    assert function is expected["fn"]
    assert expected == described(session_flow(**options)(function))
    assert expected == described(session_flow(function, **options))


@as_with_flow
def test_a_bare_decorator_makes_a_flow(flow):
    """Without parentheses."""

    @flow
    def bare(number: int = 1) -> int:
        """Do nothing."""
        return number

    return bare.name, bare.description, bare.parameters, bare.fn(2), bare.__doc__, bare.__module__


@pytest.mark.parametrize(
    "option", ["on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running"]
)
@pytest.mark.parametrize("hooks", [1, [1], kept, "no hooks"], ids=["1", "[1]", "function", "text"])
def test_hooks_that_are_none_are_refused_by_the_same_error(option, hooks):
    """Whatever is wrong with them."""
    expected = value_or_error(lambda: flow(**{option: hooks})(plain))

    assert TypeError is expected[0]
    assert expected == value_or_error(lambda: session_flow(**{option: hooks})(plain))


@as_with_flow
def test_what_is_no_flow_is_refused_by_the_same_error(flow):
    """Names, reserved parameters, partials without a name, classes of results."""

    def reserved(return_state):
        return return_state

    def model_config(model_config):
        return model_config

    return [
        value_or_error(lambda: flow(name=3)(plain)),
        value_or_error(lambda: flow(name="a/b")(plain)),
        value_or_error(lambda: flow(flow_run_name=3)(plain)),
        value_or_error(lambda: flow(reserved)),
        value_or_error(lambda: flow(partial(plain, Size()))),
        value_or_error(lambda: flow(name="named")(partial(plain, Size()))),
        value_or_error(lambda: flow(result_storage=LocalFileSystem())(plain)),
        value_or_error(lambda: flow(model_config)),
    ]


@as_with_flow
def test_a_partial_that_has_a_name_is_a_flow(flow):
    """As `update_wrapper` gives it one."""
    part = update_wrapper(partial(plain, names=["a"]), plain)

    it = flow(part)

    return it.name, it.fn is part, it.parameters, it.fn(Size())


@as_with_flow
def test_parameters_are_validated_alike(flow):
    """Cast where they can be, and refused where not."""
    it = flow(plain)

    return it.validate_parameters({"size": {"width": "3"}}), value_or_error(
        lambda: it.validate_parameters({"size": {"width": 0}})
    )


@as_with_flow
def test_methods_of_every_kind_are_flows(flow):
    """Of the instance, the class, or neither; and called without a flow run."""

    class Lab:
        size = 3

        @flow
        def of_instance(self, x: int) -> int:
            return self.size * x

        @flow
        @classmethod
        def of_class(cls, x: int) -> int:
            return cls.size * x

        @flow
        @staticmethod
        def of_nobody(x: int) -> int:
            return x

        @flow(name="named")
        @staticmethod
        async def of_nobody_async(x: int) -> int:
            return x

    flows = [Lab().of_instance, Lab.of_class, Lab.of_nobody, Lab.of_nobody_async]
    return [
        (it.name, it.isasync, it.ismethod, it.isclassmethod, it.isstaticmethod, it.parameters)
        for it in flows
    ]


CHANGES = [
    {"name": "other", "version": "8", "description": "Other."},
    {"retries": 1, "retry_delay_seconds": 0, "timeout_seconds": 9},
    {"persist_result": None, "log_prints": True, "validate_parameters": False},
    {"on_completion": [print], "on_cancellation": [print], "on_crashed": [print]},
    {"result_storage": None, "result_serializer": None, "cache_result_in_memory": False},
]


@pytest.mark.parametrize("changes", CHANGES, ids=" ".join)
def test_options_are_changed_as_prefect_does(changes):
    """One by one, and the rest is kept."""
    options: dict[str, Any] = {
        "name": "mine",
        "retries": 2,
        "persist_result": True,
        "on_cancellation": [kept],
        "on_crashed": [kept],
    }
    expected = flow(**options)(plain).with_options(**changes)

    changed = session_flow(**options)(plain).with_options(**changes)

    assert described(expected) == described(changed)
    assert isinstance(changed, SessionFlow)


def test_changed_options_keep_the_session_and_its_hooks():
    """Those of the session may be among them; a task runner is put inside."""
    mine = session_flow("ibm", backend="ibm_torino", max_time="2h")(plain)

    changed = mine.with_options(
        name="other", on_cancellation=[kept], on_crashed=[kept], qpu_budget="10m", max_time="1h"
    )
    with_threads = changed.with_options(task_runner=ThreadPoolTaskRunner(max_workers=3))

    assert (
        SessionTaskRunner("ibm", backend="ibm_torino", max_time="1h", qpu_budget="10m")
        == changed.task_runner
    )
    assert [release_recorded_sessions, kept] == changed.on_cancellation_hooks
    assert [release_recorded_sessions, kept] == changed.on_crashed_hooks
    assert (
        SessionTaskRunner(
            "ibm", backend="ibm_torino", max_time="1h", qpu_budget="10m", max_workers=3
        )
        == with_threads.task_runner
        == changed.with_options(max_workers=3).task_runner
    )
    assert [release_recorded_sessions, kept] == with_threads.on_cancellation_hooks
    assert SessionTaskRunner("ibm", backend="ibm_torino", max_time="2h") == mine.task_runner


def test_every_option_of_prefects_with_options_is_in_the_signature():
    """And those of the session."""
    prefects = inspect.signature(flow(plain).with_options).parameters

    shown = inspect.signature(session_flow(plain).with_options).parameters

    assert {*prefects, "max_time", "credentials"} <= set(shown)


def test_a_call_with_the_function_keeps_every_option():
    """Budgets included."""
    called = session_flow(plain, credentials="ibm", max_time="2h", qpu_budget="10m", retries=2)

    assert SessionTaskRunner("ibm", max_time="2h", qpu_budget="10m") == called.task_runner
    assert (plain, 2) == (called.fn, called.retries)


@pytest.mark.parametrize(
    ("said", "meant"),
    [("max_tiem", "max_time"), ("bakend", "backend"), ("retrys", "retries"), ("zzz", None)],
)
@pytest.mark.parametrize("where", ["decorator", "with_options"])
def test_an_option_that_nobody_has_is_named_with_what_was_perhaps_meant(where, said, meant):
    """When the flow is defined."""
    make = session_flow if where == "decorator" else session_flow(plain).with_options
    hint = f"{said!r}. Did you mean {meant!r}?" if meant else f"{said!r}"

    with pytest.raises(TypeError) as refused:
        make(**{said: 1})

    assert f"unexpected keyword argument {hint}" == str(refused.value)


@pytest.mark.parametrize("decorate", [session_flow, session_flow("ibm")])
def test_a_flow_is_not_decorated_again(decorate):
    """It would be a flow run inside a flow run; the error says what to do."""
    with pytest.raises(TypeError, match=r"'plain' is a flow already.*in the place of @flow"):
        decorate(flow(plain))


def test_credentials_are_said_once():
    """By position or by name."""
    with pytest.raises(TypeError, match="twice"):
        session_flow("ibm", credentials="other")


@as_with_flow
def test_a_pickled_flow_is_the_same(flow):
    """Prefect sends it to other processes in this way; the function goes along by its value."""

    @flow(name="local", retries=2, on_failure=[kept])
    def local(number: int = 1) -> int:
        return number + 1

    back = cloudpickle.loads(cloudpickle.dumps(local))
    changed = back.with_options(name="other")

    return [
        (it.name, it.retries, it.fn(2), it.parameters, it.version, it.on_failure_hooks)
        for it in (back, changed)
    ]


def test_a_pickled_flow_holds_its_session():
    """With its options and its hooks."""
    back = cloudpickle.loads(cloudpickle.dumps(session_flow("ibm", max_time="2h")(plain)))

    assert isinstance(back, SessionFlow)
    assert SessionTaskRunner("ibm", max_time="2h") == back.task_runner
    assert [release_recorded_sessions] == back.on_crashed_hooks


@as_with_flow
def test_hooks_are_added_by_decorators(flow):
    """As `@my_flow.on_failure`."""
    it = flow(plain)
    for add in (it.on_completion, it.on_failure, it.on_running, it.on_cancellation, it.on_crashed):
        add(kept)

    return [
        users(hooks)
        for hooks in (
            it.on_completion_hooks,
            it.on_failure_hooks,
            it.on_running_hooks,
            it.on_cancellation_hooks,
            it.on_crashed_hooks,
        )
    ]


@as_with_flow
def test_a_flow_is_visualized_alike(flow):
    """As far as there is a program that draws it."""

    @task
    def step() -> int:
        return 1

    @flow(name="drawn")
    def drawn() -> None:
        step()

    with warnings.catch_warnings():
        # That it executes code, which is what it is for.
        warnings.simplefilter("ignore")
        return value_or_error(drawn.visualize) or "drawn"


def test_prefects_own_defaults_of_retries_count():
    """As an operator sets them."""
    with temporary_settings({PREFECT_FLOW_DEFAULT_RETRIES: 4}):
        assert 4 == session_flow(plain).retries


def test_parameters_that_are_refused_are_refused_before_the_flow_begins():
    """By Prefect's own error."""
    with pytest.raises(ParameterTypeError, match="width"):
        session_flow(plain)({"width": 0})
