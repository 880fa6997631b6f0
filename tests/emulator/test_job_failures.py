"""Jobs that fail on demand, with the reason codes of the service."""

import pytest
import requests
from pydantic import ValidationError
from qiskit_ibm_runtime import Session
from qiskit_ibm_runtime.exceptions import RuntimeJobFailureError, RuntimeJobMaxTimeoutError

from prefect_qsession.emulator import Drop, FailJob, Fault


def fail_jobs(bench, code: int, **options):
    """Have the next job fail."""
    return bench.emulator.faults.add(Fault("/jobs", FailJob(code, **options), count=1))


@pytest.mark.parametrize(
    ("code", "words", "charge"),
    [
        (9707, "Temporary Internal Error", 0),
        (1517, "instruction set", 10),
        (4242, "told to fail", 10),
    ],
)
def test_a_job_fails_in_its_turn_with_the_code_it_was_given(bench, code, words, charge):
    """It holds the QPU as it would have; what is the service's own fault is not charged."""
    standing = fail_jobs(bench, code)
    job, after = bench.submit(), bench.submit()
    bench.clock.advance(9.999)
    before = bench.statuses()
    bench.clock.advance(10.001)

    with pytest.raises(RuntimeJobFailureError, match=f"Error code {code}.*{words}"):
        job.result()
    assert ["Running", "Queued"] == before
    assert ["Failed", "Completed"] == bench.statuses()
    [failed, _] = bench.emulator.jobs
    assert (code, 10.0, charge) == (
        failed.reason_code,
        failed.qpu_seconds,
        failed.charged_seconds,
    )
    assert 1 == standing.struck
    assert "DONE" == after.status()


def test_a_job_fails_at_once_and_costs_nothing(bench):
    """It never runs, and its session is as if it had never come."""
    fail_jobs(bench, 1004, reason="Out of order", at_once=True)
    session = Session(backend=bench.backend)

    job = bench.submit(session)

    assert "Out of order" in job.error_message()
    [record] = bench.emulator.jobs
    assert ("Failed", None, 0) == (record.status, record.started, record.charged_seconds)
    assert ("open", (job.job_id(),)) == (
        bench.session_record().state,
        bench.session_record().job_ids,
    )


@pytest.mark.parametrize("at_once", [True, False])
def test_a_job_that_is_told_it_ran_too_long_is_cancelled(bench, at_once):
    """As the service does, so that the client knows this end."""
    fail_jobs(bench, 1305, at_once=at_once)

    job = bench.submit()
    bench.clock.advance(10)

    with pytest.raises(RuntimeJobMaxTimeoutError):
        job.result()
    assert ["Cancelled"] == bench.statuses()


def test_only_submissions_are_struck(bench):
    """Questions about jobs neither use a fault up nor fail."""
    standing = bench.emulator.faults.add(Fault("*", FailJob(9707), count=1))

    assert 0 == len(bench.service.jobs())
    bench.submit()
    bench.clock.advance(10)

    assert (["Failed"], 1) == (bench.statuses(), standing.struck)


def test_a_job_fails_on_demand_from_outside(bench):
    """The control routes take the same fault as plain data."""
    added = requests.post(
        f"{bench.emulator.url}/emulator/faults",
        json={"route": "/jobs", "method": "POST", "effect": {"kind": "fail_job", "code": 9707}},
        timeout=5,
    )
    bench.submit()
    bench.clock.advance(10)

    assert 200 == added.status_code
    assert [9707] == [job.reason_code for job in bench.emulator.jobs]


@pytest.mark.parametrize("where", [{"route": "/sessions"}, {"route": "/jobs", "method": "GET"}])
def test_jobs_are_failed_only_where_they_are_submitted(where):
    """A fault that could never strike is refused; another effect may go there."""
    Fault(effect=Drop(), **where)

    with pytest.raises(ValidationError, match="where they are submitted"):
        Fault(effect=FailJob(9707), **where)
