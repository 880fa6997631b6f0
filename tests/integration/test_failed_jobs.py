"""Jobs that have no result: named as ours, with the service's reason, retried where it can help."""

import pytest
from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_qsession import current_backend, retry_if_it_can_help, sampler, session_flow
from prefect_qsession.emulator import Drop, FailJob, Fault, TimingSettings
from prefect_qsession.exceptions import JobCancelled, JobFailed, ResultNotReady
from tests.integration.conftest import flipped_qubit, one, outcomes
from tests.integration.session_flows import Boom
from tests.integration.test_reattachment import ask


def fail_jobs(emulator, code, count=1):
    """Have the next jobs fail."""
    emulator.faults.add(Fault("/jobs", FailJob(code), method="POST", count=count))


@pytest.mark.parametrize(
    ("code", "words", "retryable"),
    [(1517, "instruction", False), (9707, "Internal Error", True), (1305, "ran longer", False)],
)
def test_a_failed_job_is_named_with_the_reason_of_the_service(
    block, emulator, code, words, retryable
):
    """The ids, the code and the words; and whether another job would meet the same."""
    fail_jobs(emulator, code)

    @session_flow(block, backend="ibm_manila")
    def fails() -> None:
        one()

    with pytest.raises(JobFailed, match=words) as failed:
        fails()

    [job] = emulator.jobs
    error = failed.value
    assert (job.id, job.session_id, code) == (error.job_id, error.session_id, error.code)
    assert retryable == error.retryable
    assert ["cancel"] == outcomes(emulator)


@pytest.mark.parametrize(("code", "jobs"), [(9707, 3), (1517, 1)])
def test_a_task_is_retried_where_it_can_help(block, emulator, code, jobs):
    """Twice after internal errors, with a new job each; never for a circuit that cannot run."""
    fail_jobs(emulator, code, count=2)

    @task(retries=3, retry_condition_fn=retry_if_it_can_help, cache_policy=NO_CACHE)
    def measure() -> int:
        return one()

    @session_flow(block, backend="ibm_manila")
    def measures() -> int:
        return measure()

    if jobs == 1:
        with pytest.raises(JobFailed):
            measures()
    else:
        assert 1 == measures()
    assert jobs == len(emulator.jobs)


def test_an_error_that_would_recur_is_raised_again_and_not_paid_again(block, emulator):
    """The second attempt reads the failure of the first."""
    fail_jobs(emulator, 1517)
    attempts: list[str] = []

    @session_flow(block, backend="ibm_manila", retries=1)
    def fails() -> None:
        try:
            one()
        except JobFailed as error:
            attempts.append(error.job_id)
            raise

    with pytest.raises(JobFailed):
        fails()
    assert [emulator.jobs[0].id] * 2 == attempts
    assert 1 == len(emulator.jobs)


def test_a_result_that_takes_too_long_can_be_asked_for_again(make_emulator, save_block):
    """The job goes on meanwhile."""
    emulator = make_emulator(timing=TimingSettings(fixed_seconds=60), hand_clock=True)

    @session_flow(save_block(emulator), backend="ibm_manila")
    def waits() -> None:
        job = ask()
        with pytest.raises(ResultNotReady, match=job.job_id()):
            job.result(timeout=0.2)
        emulator.clock.advance(60)
        assert job.result() is job.result()
        assert job.done()

    waits()


def test_a_job_that_the_flow_cancels_is_cancelled(make_emulator, save_block):
    """Its result says so; it is not submitted again in this attempt, but by the next."""
    emulator = make_emulator(timing=TimingSettings(fixed_seconds=60), hand_clock=True)
    attempts: list[int] = []

    @session_flow(save_block(emulator), backend="ibm_manila", retries=1)
    def changes_its_mind() -> None:
        attempts.append(1)
        job = ask()
        if len(attempts) == 1:
            job.cancel()
            with pytest.raises(JobCancelled, match=job.job_id()):
                job.result()
            assert job.cancelled()
            raise Boom
        emulator.clock.advance(60)
        job.result()

    changes_its_mind()

    assert ["Cancelled", "Completed"] == [job.status for job in emulator.jobs]


def ask_privately():
    """Submit a job whose result can be read once, and return it."""
    options = {"environment": {"private": True}}
    circuit = flipped_qubit(current_backend().num_qubits)
    return sampler(options).run([circuit], shots=10)


def test_a_private_result_that_was_read_is_paid_for_again(block, emulator):
    """The service gives it once; a later attempt finds the job, but nothing in it."""
    attempts: list[bool] = []

    @session_flow(block, backend="ibm_manila", retries=1)
    def fails_once() -> None:
        job = ask_privately()
        attempts.append(job.is_reattached)
        assert job.result() is not None
        if len(attempts) == 1:
            raise Boom

    fails_once()

    assert [False, True] == attempts
    assert 2 == len(emulator.jobs)


def test_a_private_result_that_is_lost_on_the_way_is_paid_for_again(block, emulator):
    """There is no other way to it."""
    lost = Fault("/jobs/{id}/results", Drop(after_work=True), method="GET", count=1)
    emulator.faults.add(lost)

    @session_flow(block, backend="ibm_manila")
    def asks() -> bool:
        return ask_privately().result() is not None

    assert asks()
    assert 2 == len(emulator.jobs)


@pytest.mark.parametrize("retried", ["flow", "task"])
def test_a_job_that_was_deleted_is_submitted_anew(block, emulator, retried):
    """By another attempt of the flow run, which does not find it, or of the task, which does."""
    attempts: list[str] = []

    @task(retries=int(retried == "task"), cache_policy=NO_CACHE)
    def measure() -> None:
        job = ask()
        assert job.result() is not None
        attempts.append(job.job_id())
        if len(attempts) == 1:
            current_backend().service.delete_job(job.job_id())
            raise Boom

    @session_flow(block, backend="ibm_manila", retries=int(retried == "flow"))
    def measures() -> None:
        measure()

    measures()

    assert 2 == len(set(attempts))
