"""From requests to jobs, with a service by hand: what is noted when a submission is cut off."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from uuid import UUID

import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import PrimitiveResult
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError
from requests import Session

from prefect_qsession.budget.rules import BudgetKind
from prefect_qsession.budget.spending import Spending
from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import BudgetExceeded, JobCancelled, ResultNotReady
from prefect_qsession.ibm.primitives import ClientPrimitive
from prefect_qsession.jobs.activity import Activity
from prefect_qsession.jobs.session_jobs import SessionJob
from prefect_qsession.jobs.settling import settle_what_is_over
from prefect_qsession.jobs.submissions import Submissions
from prefect_qsession.jobs.waiting import Waiting
from prefect_qsession.prefect_api.owners import Owner
from prefect_qsession.settings import QSessionSettings
from tests.harness.waiting import wait_until

FLOW_RUN = UUID("12345678-1234-5678-1234-567812345678")
FAR_AWAY = 1e9


class CutOff(BaseException):
    """What a task's timeout raises in its thread."""


class Job:
    """A job as far as it is looked at here."""

    JOB_FINAL_STATES = ("DONE", "CANCELLED", "ERROR")
    session_id = "session-1"

    def __init__(self, number: int, tags: list[str], pubs: int, charge: float) -> None:
        self.number = number
        self.tags = tags
        self.pubs = pubs
        self.charge = charge
        self.standing = "QUEUED"

    def job_id(self) -> str:
        return f"job-{self.number}"

    def status(self) -> str:
        return self.standing

    def cancel(self) -> None:
        if self.standing == "QUEUED":
            self.standing, self.charge = "CANCELLED", 0.0

    def usage(self, *, partial: bool) -> float:
        assert partial
        return self.charge

    def result(self) -> PrimitiveResult:
        if self.standing == "CANCELLED":
            raise RuntimeInvalidStateError("cancelled")
        return PrimitiveResult([f"{self.job_id()}.{pub}" for pub in range(self.pubs)])


class Service:
    """Has jobs, and lists them as the client does."""

    def __init__(self) -> None:
        self.made: list[Job] = []
        sender = SimpleNamespace(_session=Session(), _instance="crn")
        self._api_clients = {"crn": sender}
        self.lists = 0

    def jobs(self, *, limit, job_tags, skip=0, pending=None, descending=True) -> list[Job]:  # noqa: ARG002 - the client's
        self.lists += 1
        found = [job for job in self.made if set(job_tags) <= set(job.tags)]
        if pending:
            found = [job for job in found if job.standing in ("QUEUED", "RUNNING")]
        return found[skip : skip + limit]


class Primitive(ClientPrimitive):
    """Has its job made by the service, and may be cut off right after it."""

    def __init__(self, service: Service, cut_off: Callable[[int], bool], charge: float) -> None:
        super().__init__("sampler")
        self._service = service
        self._cut_off = cut_off
        self._charge = charge

    def run(self, mode, tags, arguments):  # noqa: ARG002 - as it is called
        number = len(self._service.made)
        job = Job(number, list(tags), len(arguments), charge=self._charge)
        self._service.made.append(job)
        if self._cut_off(number):
            raise CutOff
        return job


class Provider:
    """A session that is open."""

    logger = logging.getLogger("test")

    def __init__(self, service: Service, **options) -> None:
        self.policy = QSessionSettings().resolve(options)
        self.spending = Spending(self.policy, lambda *_: None)
        self.activity = Activity()
        self.waits = Waiting(200)
        self.events: list[object] = []
        self._backend = SimpleNamespace(service=service)

    def emit(self, event) -> None:
        self.events.append(event)

    def backend(self):
        return self._backend

    def acquire(self):
        return SimpleNamespace(mode=Mode.SESSION, session_id="session-1", client_mode=None)

    def holds(self, session) -> bool:  # noqa: ARG002 - as it is called
        return True

    def has_ended(self, session_id) -> bool:  # noqa: ARG002 - as it is called
        return False


class Bench:
    """One attempt of a flow run."""

    def __init__(
        self, *, cut_off: Callable[[int], bool] = lambda _: False, charge: float = 4.0, **options
    ) -> None:
        self.service = Service()
        self.provider = Provider(self.service, **options)
        flow_run = SimpleNamespace(
            id=FLOW_RUN,
            run_count=1,
            empirical_policy=SimpleNamespace(pause_keys=None),
            parent_task_run_id=None,
        )
        owner = Owner(flow_run, logging.getLogger("test"), lambda: None)
        self.submissions = Submissions(self.provider, owner)
        self.primitive = Primitive(self.service, cut_off, charge)

    def request(self, number: int):
        """Ask for something of its own."""
        circuit = QuantumCircuit(1, 1)
        circuit.rz(0.1 * number, 0)
        circuit.measure(0, 0)
        return self.submissions.request(self.primitive, [SamplerPub.coerce(circuit, 10)], 10, ())

    def job(self, request) -> SessionJob:
        return SessionJob(self.submissions, request, self.submissions.answer(request))

    def settle(self) -> None:
        settle_what_is_over(self.provider.activity, self.service, FLOW_RUN)

    @property
    def idle_seconds(self) -> float:
        return self.provider.activity.idle_seconds(FAR_AWAY)

    @property
    def reserved(self) -> dict:
        return self.provider.spending.budget._under_way

    @property
    def spent(self) -> float:
        return self.provider.spending.budget.spent_seconds(BudgetKind.QPU, 0.0)


def all_at_once(bench: Bench, requests: list) -> list:
    """Ask from a thread each; return the jobs, and what was raised."""

    def ask(request):
        try:
            return bench.job(request)
        except CutOff as error:
            return error

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(ask, requests))


@pytest.fixture
def cut_off_pack() -> tuple[Bench, list, list]:
    """Cut off the leader of a pack of four as its job is made."""
    bench = Bench(cut_off=lambda number: number == 0, pack="300ms", qpu_budget=100)
    requests = [bench.request(number) for number in range(4)]
    return bench, requests, all_at_once(bench, requests)


def test_a_pack_whose_leader_is_cut_off_as_its_job_is_made_is_paid_once(cut_off_pack):
    """The members look for its job, and have their results of that one."""
    bench, _, answers = cut_off_pack
    jobs = [answer for answer in answers if isinstance(answer, SessionJob)]

    [made] = bench.service.made
    made.standing = "DONE"

    assert 3 == len(jobs)
    assert {made.job_id()} == {job.job_id() for job in jobs}
    assert 3 == len({job.result()[0] for job in jobs})
    assert {4} == {job.shares for job in jobs}


def test_a_pack_whose_leader_is_cut_off_is_settled(cut_off_pack):
    """Charged once, nothing reserved, nothing under way."""
    bench, _, answers = cut_off_pack
    [made] = bench.service.made
    made.standing = "DONE"

    for answer in answers:
        if isinstance(answer, SessionJob):
            answer.result()

    assert 4.0 == bench.spent
    assert {} == bench.reserved
    assert 0.0 < bench.idle_seconds


def test_a_member_that_asks_again_is_answered_by_its_pack(cut_off_pack):
    """The leader's task, retried: its PUB is in the job already."""
    bench, requests, answers = cut_off_pack
    [leader] = [
        request
        for request, answer in zip(requests, answers, strict=True)
        if isinstance(answer, CutOff)
    ]
    bench.service.made[0].standing = "DONE"

    job = bench.job(leader)

    assert 1 == len(bench.service.made)
    assert "job-0." in job.result()[0]


def test_a_single_request_that_is_cut_off_keeps_its_reservation_until_it_is_known():
    """The job runs and costs: it is found by its tags, and charged when it is over."""
    bench = Bench(cut_off=lambda number: number == 0, qpu_budget=100)
    with pytest.raises(CutOff):
        bench.job(bench.request(0))

    assert 1 == len(bench.reserved)
    bench.settle()
    assert 1 == len(bench.reserved)
    bench.service.made[0].standing = "DONE"
    bench.settle()

    assert 4.0 == bench.spent
    assert {} == bench.reserved
    assert 0.0 < bench.idle_seconds


def test_a_request_that_was_cut_off_before_its_job_was_made_gives_back_what_it_kept():
    """Once it was looked for."""
    bench = Bench(cut_off=lambda _: True, qpu_budget=100)
    with pytest.raises(CutOff):
        bench.job(bench.request(0))
    # As if it had not come to that.
    bench.service.made.clear()
    bench.settle()

    assert {} == bench.reserved
    assert 0.0 < bench.idle_seconds


ENDS = {
    "cancelled": lambda _, job: job.cancel(),
    "polled": lambda bench, job: (over(bench), job.done()),
    "asked for its status": lambda bench, job: (over(bench), job.status()),
    "asked whether it is over": lambda bench, job: (over(bench), job.in_final_state()),
    "read through client_job": lambda bench, job: (over(bench), job.client_job.result()),
    "forgotten": lambda bench, job: over(bench),  # noqa: ARG005 - as the others
}
"""What users do with a job instead of asking for its result."""


ENDED = {"cancelled": "JobCancelledEvent"}


def over(bench: Bench) -> None:
    """Have all jobs done."""
    for job in bench.service.made:
        job.standing = "DONE"


@pytest.mark.parametrize("how", ENDS)
def test_a_job_that_nobody_waits_for_leaves_the_session_idle_when_it_is_over(how):
    """And gives back what was kept for it, or is charged."""
    bench = Bench(qpu_budget=100)
    job = bench.job(bench.request(0))
    assert 0.0 == bench.idle_seconds

    ENDS[how](bench, job)
    del job
    if how in ("read through client_job", "forgotten"):
        bench.settle()

    assert 0.0 < bench.idle_seconds
    assert {} == bench.reserved
    assert (0.0 if how == "cancelled" else 4.0) == bench.spent
    assert ["JobSubmittedEvent", ENDED.get(how, "JobCompletedEvent")] == [
        type(event).__name__ for event in bench.provider.events
    ]


def test_a_job_that_goes_on_is_not_settled():
    """It is asked for with the list, and not by itself."""
    bench = Bench()
    job = bench.job(bench.request(0))
    bench.service.made[0].standing = "RUNNING"

    bench.settle()

    assert 0.0 == bench.idle_seconds
    assert 1 == bench.service.lists
    assert not job.done()


def test_cancelled_jobs_do_not_use_up_the_budget():
    """Twenty of them, of which each would fit once."""
    bench = Bench(qpu_budget=7)

    for number in range(20):
        bench.job(bench.request(number)).cancel()

    assert 0.0 == bench.spent
    assert 20 == len(bench.service.made)


def test_a_budget_is_not_exceeded_by_jobs_that_are_over_and_forgotten():
    """They are looked for before a job is refused; what they were charged counts."""
    bench = Bench(qpu_budget=5, charge=1.0)

    for number in range(5):
        bench.job(bench.request(number))
        over(bench)

    with pytest.raises(BudgetExceeded, match=r"5\.0 s are spent"):
        bench.job(bench.request(5))
    assert 5 == len(bench.service.made)
    assert {} == bench.reserved


def test_a_result_that_another_thread_waits_for_does_not_void_a_timeout():
    """The second thread is told in time that it is not over; the first goes on."""
    bench = Bench()
    job = bench.job(bench.request(0))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(job.result)
        wait_until(lambda: bench.provider.waits.number)
        second = threads.submit(job.result, 0.05)

        with pytest.raises(ResultNotReady):
            second.result(timeout=20)
        assert not first.done()
        over(bench)
        assert "job-0.0" == first.result(timeout=20)[0]


@pytest.mark.parametrize("timeout", [0, -1.0, 1e300, float("inf")])
def test_any_number_is_a_timeout(timeout):
    """As the client takes them."""
    bench = Bench()
    job = bench.job(bench.request(0))
    over(bench)

    assert "job-0.0" == job.result(timeout)[0]


def test_a_cancelled_job_is_told_so_to_whoever_asks_for_its_result():
    """Though it was settled when it was cancelled."""
    bench = Bench()
    job = bench.job(bench.request(0))
    job.cancel()

    with pytest.raises(JobCancelled):
        job.result()
