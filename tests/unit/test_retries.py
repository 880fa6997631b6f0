"""Which failures of a task are worth a retry."""

from uuid import uuid4

import pytest
from prefect import task
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from prefect_qsession import retry_if_it_can_help
from prefect_qsession.exceptions import (
    BudgetExceeded,
    JobCancelled,
    JobFailed,
    LedgerUnavailable,
    NotISA,
    ServiceUnavailable,
    SessionLost,
    Unauthorized,
)

WORTH_IT = {
    JobFailed("job-1", None, "Temporary internal error.", code=9707, retryable=True): True,
    JobFailed("job-1", None, "Not in the target ISA.", code=1517): False,
    JobCancelled("job-1"): True,
    ServiceUnavailable("no answer", retryable=True): True,
    Unauthorized("bad key"): False,
    LedgerUnavailable("record session-1", "no answer."): True,
    SessionLost("session-1", "its time was over."): False,
    NotISA("bell", "ibm_torino", "no h."): False,
    BudgetExceeded("qpu_budget", 60, 60, 0): False,
    ConnectionError("the user's own"): True,
    ValueError("the user's own"): True,
}


@task
def some() -> None:
    """Do nothing."""


@pytest.mark.parametrize(("error", "expected"), list(WORTH_IT.items()), ids=map(repr, WORTH_IT))
def test_a_failure_that_may_pass_is_worth_a_retry(error, expected):
    """By what the error says of itself; others as Prefect does."""
    task_run = TaskRun(task_key="some", dynamic_key="0", flow_run_id=uuid4())

    assert expected == retry_if_it_can_help(some, task_run, Failed(data=error))
