"""How an error that ends a flow run releases its session."""

import asyncio
from functools import partial
from signal import SIGTERM

import pytest
from prefect.exceptions import Pause, TerminationSignal

from prefect_qsession.session.flow_run_sessions import outcome_after
from prefect_qsession.states import Release


@pytest.mark.parametrize("error", [Pause, GeneratorExit])
def test_what_is_no_failure_closes(error):
    """A suspended run and a generator that was read far enough have done nothing wrong."""
    assert Release.CLOSE == outcome_after(error())


@pytest.mark.parametrize(
    "error",
    [
        ValueError,
        KeyboardInterrupt,
        SystemExit,
        asyncio.CancelledError,
        partial(TerminationSignal, SIGTERM),
    ],
)
def test_everything_else_cancels(error):
    """Failures, interrupts, exits and signals leave no job in the queue."""
    assert Release.CANCEL == outcome_after(error())
