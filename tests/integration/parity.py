"""A feature of Prefect's as a test: what comes of it with `flow` has to come of it with ours."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from prefect import flow, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.states import State

from prefect_qsession import SessionTaskRunner, session_flow
from prefect_qsession.hooks import release_recorded_sessions

Decorator = Callable[..., Any]


def flow_with_runner(*function: Callable[..., Any], **options: Any) -> Any:
    """Decorate as `flow` does, with our task runner around the one that is asked for."""
    runner = SessionTaskRunner(task_runner=options.pop("task_runner", None))
    return flow(*function, task_runner=runner, **options)


def as_with_flow(feature: Callable[[Decorator], Any]) -> Callable[[Decorator], None]:
    """Make a test of a function that uses a decorator, and returns what came of it."""
    return _as_test(feature, session_flow)


def as_with_flow_and_runner(feature: Callable[[Decorator], Any]) -> Callable[[Decorator], None]:
    """Make the same test for both of our ways to write a flow."""
    return _as_test(feature, session_flow, flow_with_runner)


def _as_test(feature: Callable[[Decorator], Any], *decorators: Decorator) -> Any:
    first, *others = decorators
    ours_each = [
        pytest.param(first, id=first.__name__),
        *(pytest.param(it, id=it.__name__, marks=pytest.mark.slow) for it in others),
    ]

    @pytest.mark.parametrize("ours", ours_each)
    def test(ours):
        expected = feature(flow)

        assert expected is not None
        assert expected == feature(ours)

    test.__name__ = feature.__name__
    test.__doc__ = feature.__doc__
    return test


def ending(state: State) -> tuple:
    """Return how a flow run or task run ended, and what can be had from it."""
    return state.name, state.message, value_or_error(partial(state.result, raise_on_failure=True))


def value_or_error(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or what it raises, so that it can be compared."""
    try:
        value = call()
        return asyncio.run(value) if asyncio.iscoroutine(value) else value
    except Exception as error:  # noqa: BLE001 - whatever it is
        return type(error), str(error)


def run_of(state: State) -> FlowRun:
    """Return what Prefect's server knows of the flow run that ended so."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(state.state_details.flow_run_id)


def states_of(state: State) -> list[str]:
    """Return the names of all states of the flow run that ended so."""
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(state.state_details.flow_run_id)
    return [each.name for each in sorted(states, key=lambda each: each.timestamp)]


def users(hooks: list) -> list:
    """Return hooks without the one that `session_flow` adds."""
    return [hook for hook in hooks if hook is not release_recorded_sessions]


@contextmanager
def logged(name: str) -> Iterator[list[str]]:
    """Collect the messages of a logger."""
    messages: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, handler = logging.getLogger(name), Handler()
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
