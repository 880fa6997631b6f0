"""The two ways to write a session flow, for tests that hold for both."""

import pytest
from prefect import flow

from prefect_qsession import SessionTaskRunner, session_flow


class Boom(Exception):
    """What the flows of these tests raise."""


def with_runner(block, **options):
    """Make a session flow the plain way."""
    runner = SessionTaskRunner(block, backend="ibm_manila")
    return flow(task_runner=runner, **options)


def with_decorator(block, **options):
    """Make a session flow the recommended way."""
    return session_flow(block, backend="ibm_manila", **options)


both_ways = pytest.mark.parametrize("session", [with_runner, with_decorator])
