"""No job is paid twice: what was asked before is answered by the job of then, whoever asks."""

import pytest
from prefect import flow, get_client, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import Paused, Scheduled

from prefect_qsession import current_backend, sampler, session_flow
from prefect_qsession.emulator import Answer, Delay, Drop, Fault
from prefect_qsession.ibm import internals
from tests.harness.versions import SINCE_PREFECT_3_9
from tests.integration.conftest import flipped_qubit, one, outcomes
from tests.integration.session_flows import Boom, both_ways


def ask(shots: int = 10):
    """Submit a job, and return it."""
    return sampler().run([flipped_qubit(current_backend().num_qubits)], shots=shots)


@both_ways
def test_a_retried_flow_run_asks_for_the_results_it_has(session, block, emulator):
    """Its second attempt reads two jobs of the first, and submits what is new."""
    attempts: list[list[str]] = []

    @session(block, retries=1)
    def fails_once() -> None:
        jobs = [ask(shots) for shots in (10, 20)]
        [job.result() for job in jobs]
        attempts.append([job.job_id() for job in jobs])
        if len(attempts) == 1:
            raise Boom
        assert [True, True] == [job.is_reattached for job in jobs]
        assert not ask(30).is_reattached

    fails_once()

    assert attempts[0] == attempts[1]
    assert 3 == len(emulator.jobs)


def test_a_flow_that_wants_new_results_pays_for_them(block, emulator):
    """With `reattach=False` a later attempt, of the flow run or a task, submits everything anew."""
    attempts: list[int] = []

    @task(retries=1, cache_policy=NO_CACHE)
    def fails_once() -> None:
        attempts.append(one())
        if len(attempts) == 1:
            raise Boom

    @session_flow(block, backend="ibm_manila", reattach=False, retries=1)
    def fails_once_too() -> None:
        fails_once()
        if len(attempts) == 2:
            raise Boom

    fails_once_too()

    assert 3 == len(emulator.jobs)


def test_a_retried_task_asks_for_the_result_it_has(block, emulator):
    """Also through a task inside it, which has a new id; equal requests elsewhere are their own."""
    seen: list[str] = []

    @task
    def inner() -> str:
        job = ask()
        job.result()
        return job.job_id()

    @task(retries=1, cache_policy=NO_CACHE)
    def fails_once() -> None:
        seen.extend([inner(), inner()])
        if len(seen) == 2:
            raise Boom

    @session_flow(block, backend="ibm_manila")
    def retries() -> None:
        before = inner()
        fails_once()
        assert before not in seen

    retries()

    assert seen[:2] == seen[2:]
    assert 2 == len(set(seen))
    assert 3 == len(emulator.jobs)


def test_mapped_tasks_find_their_jobs_again(block, emulator):
    """In threads, in whatever order they come; equal requests are equally served."""
    attempts: list[list[str]] = []

    @task
    def measure(shots: int) -> str:
        job = ask(shots)
        job.result()
        return job.job_id()

    @session_flow(block, backend="ibm_manila", retries=1)
    def maps() -> None:
        attempts.append(measure.map([10, 10, 10, 20, 30, 40, 40, 50]).result())
        if len(attempts) == 1:
            raise Boom

    maps()

    assert 8 == len(emulator.jobs)
    assert set(attempts[0]) == set(attempts[1])
    assert attempts[0][3:5] == attempts[1][3:5]


def test_a_flow_run_that_is_started_again_from_the_ui_resumes(block, emulator):
    """It crashed, and somebody presses Retry: the jobs of then answer, no session is opened."""
    ids: list[str] = []
    runs: list[str] = []

    @session_flow(block, backend="ibm_manila")
    def crashes_once() -> None:
        ids.append(str(runtime.flow_run.id))
        one()
        if len(ids) == 1:
            raise KeyboardInterrupt
        runs.append("resumed")

    with pytest.raises(KeyboardInterrupt):
        crashes_once()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(ids[0], Scheduled(), force=True)
        flow_run = client.read_flow_run(ids[0])
    run_flow(crashes_once, flow_run=flow_run)

    assert ids[0] == ids[1]
    assert ["resumed"] == runs
    assert 1 == len(emulator.jobs)
    assert ["cancel"] == outcomes(emulator)


def test_a_flow_run_that_was_suspended_resumes(block, emulator):
    """In another process, where Prefect counts no new attempt before 3.9."""
    ids: list[str] = []
    attempts: list[int] = []

    @session_flow(block, backend="ibm_manila")
    def is_suspended_once() -> None:
        ids.append(str(runtime.flow_run.id))
        attempts.append(runtime.flow_run.run_count)
        one()
        if len(ids) == 1:
            suspended = Paused(reschedule=False, timeout_seconds=3600, pause_key="approval")
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(ids[0], suspended)
            raise Pause(state=suspended)

    with pytest.raises(Pause):
        is_suspended_once()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(ids[0], Scheduled())
        flow_run = client.read_flow_run(ids[0])
    run_flow(is_suspended_once, flow_run=flow_run)

    assert ids[0] == ids[1]
    assert [1, 2 if SINCE_PREFECT_3_9 else 1] == attempts
    assert 1 == len(emulator.jobs)
    assert ["close"] == outcomes(emulator)


def test_the_subflows_of_a_retried_flow_ask_for_the_results_they_have(block, emulator):
    """Prefect makes them anew, with new ids; each has its own session, and its own jobs."""
    attempts: list[list[str]] = []

    @session_flow(block, backend="ibm_manila")
    def inner(shots: int) -> str:
        job = ask(shots)
        job.result()
        return job.job_id()

    @flow(retries=1)
    def outer() -> None:
        attempts.append([inner(shots) for shots in (10, 10, 20)])
        if len(attempts) == 1:
            raise Boom

    outer()

    assert 3 == len(set(attempts[0]))
    assert attempts[0] == attempts[1]
    assert 3 == len(emulator.jobs)


def test_a_flow_run_that_asks_for_something_else_is_told_so_once(block, emulator, caplog):
    """Its first attempt's job is not asked for again; the new ones are submitted and paid."""
    attempts: list[int] = []

    @session_flow(block, backend="ibm_manila", retries=1)
    def is_not_deterministic() -> None:
        attempts.append(1)
        one(10 * len(attempts))
        one(10 * len(attempts) + 1)
        if len(attempts) == 1:
            raise Boom

    is_not_deterministic()

    told = [entry for entry in caplog.records if "asks for something else" in entry.message]
    assert 1 == len(told)
    assert 4 == len(emulator.jobs)


@pytest.mark.skipif(internals.are_hidden, reason="a submission is looked for")
def test_a_first_attempt_asks_the_service_nothing_more(block, emulator):
    """Less than the bare client: the job and its result, no list of jobs, no usage and status."""

    @session_flow(block, backend="ibm_manila")
    def runs() -> dict[str, int]:
        one(10)
        counted = {
            route: emulator.faults.add(Fault(route.split()[1], Delay(0), method=route.split()[0]))
            for route in (
                "GET /instances/usage",
                "GET /backends/{name}/status",
                "POST /jobs",
                "GET /jobs/{id}/results",
                "GET /jobs",
                "GET /sessions/{id}",
                "POST /identity/token",
            )
        }
        one(11)
        return {route: fault.struck for route, fault in counted.items()}

    assert [0, 0, 1, 1, 0, 0, 0] == list(runs().values())


def test_a_submission_that_is_cut_off_is_one_job(block, emulator):
    """A task's timeout strikes while the service takes its time; the retry finds the job."""
    emulator.faults.add(Fault("/jobs", Delay(4, after_work=True), method="POST", count=1))
    reattached: list[bool] = []

    @task(retries=1, timeout_seconds=2, cache_policy=NO_CACHE)
    def measure() -> None:
        job = ask()
        job.result()
        reattached.append(job.is_reattached)

    @session_flow(block, backend="ibm_manila")
    def runs() -> None:
        measure()

    runs()

    assert [True] == reattached
    assert 1 == len(emulator.jobs)


def test_a_lost_reply_is_not_taken_for_an_earlier_job_if_new_ones_are_wanted(block, emulator):
    """With `reattach=False` the look finds what this attempt has submitted, and nothing else."""
    attempts: list[str] = []

    @session_flow(block, backend="ibm_manila", reattach=False, retries=1)
    def fails_once() -> None:
        job = ask()
        job.result()
        attempts.append(job.job_id())
        if len(attempts) == 1:
            emulator.faults.add(Fault("/jobs", Drop(after_work=True), method="POST", count=1))
            raise Boom

    fails_once()

    assert [job.id for job in emulator.jobs] == attempts
    assert 2 == len(set(attempts))


def test_a_look_that_fails_leaves_the_job_to_be_found_by_the_retry(block, emulator):
    """Neither the submission nor the list is answered, and the task begins anew."""
    emulator.faults.add(Fault("/jobs", Drop(after_work=True), method="POST", count=1))
    emulator.faults.add(Fault("/jobs", Answer(403), method="GET", count=1))

    @task(retries=1, cache_policy=NO_CACHE)
    def measure() -> int:
        return one()

    @session_flow(block, backend="ibm_manila")
    def runs() -> int:
        return measure()

    assert 1 == runs()
    assert 1 == len(emulator.jobs)
