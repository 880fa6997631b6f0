"""Our errors: they travel between processes, and say whether to ask again may help."""

import pickle

import pytest

from prefect_qsession.exceptions import (
    BackendOffline,
    JobCancelled,
    JobFailed,
    LedgerUnavailable,
    QSessionError,
    ResultNotReady,
    ServiceUnavailable,
    SessionLost,
    SessionNotOpen,
    UnknownBlock,
)

ERRORS = [
    UnknownBlock("ibm"),
    BackendOffline("ibm_torino", "maintenance"),
    SessionLost("session-1", "its time was over."),
    SessionNotOpen("session-1", "closed"),
    LedgerUnavailable("record session-1", "no answer.", "session-1"),
    ServiceUnavailable("no answer", status_code=502, retryable=True),
    JobFailed("job-1", "session-1", "Not in the target ISA.", code=1517),
    JobFailed("job-1", None, "Temporary internal error.", code=9707, retryable=True),
    JobCancelled("job-1", "session-1"),
    ResultNotReady("job-1"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_survives_the_way_to_another_process(error: QSessionError):
    """With its message and everything it knows."""
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - made right here

    assert type(error) is type(arrived)
    assert str(error) == str(arrived)
    assert vars(error) == vars(arrived)
    assert error.retryable == arrived.retryable


def test_a_failed_job_is_named_with_the_reason_of_the_service():
    """The id, the session, the service's own words, and what to do."""
    message = str(JobFailed("job-1", "session-1", "Error code 1517; not ISA.", code=1517))

    assert "Job job-1 of session session-1 failed: Error code 1517; not ISA. " in message
    assert "change what is asked" in message
