"""What an instance may use, and what happens when it is used up."""

import itertools

import pytest
from qiskit_ibm_runtime import Batch, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMRuntimeError

from prefect_qsession.emulator import (
    DisputedRules,
    InstanceSettings,
    QueueSettings,
    TimingSettings,
    WorkloadLimits,
)
from prefect_qsession.emulator.rules.accounts import Account

from .conftest import Bench

MILLISECOND = 0.001
DAY = 86400
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/00:{}::"


def limited(seconds: int) -> tuple[InstanceSettings, ...]:
    """Return the one instance, which may use so many seconds."""
    return (InstanceSettings(usage_limit_seconds=seconds),)


def ends(bench) -> list[str | None]:
    """Return how each session and batch ended."""
    return [session.ended_by for session in bench.emulator.sessions]


@pytest.mark.parametrize(("idle", "state"), [(15 - MILLISECOND, "active"), (15, "closed")])
def test_a_session_is_terminated_at_the_second_its_instance_reaches_its_limit(
    make_bench, idle, state
):
    """An idle active session uses its instance up, and is closed when nothing is left."""
    bench = make_bench(instances=limited(25))
    session = Session(backend=bench.backend)
    bench.submit(session)

    bench.clock.advance(10 + idle)

    assert state == session.details()["state"]
    assert [None if state == "active" else "usage_limit"] == ends(bench)


def test_at_the_usage_limit_the_running_job_completes_and_the_queued_ones_are_cancelled(
    make_bench,
):
    """What runs is finished and billed, past the limit; what waits will not run."""
    bench = make_bench(instances=limited(15))
    session = Session(backend=bench.backend)
    for _ in range(3):
        bench.submit(session)

    bench.clock.advance(15)
    at_the_limit = (session.details()["state"], bench.statuses())
    bench.clock.advance(5)

    assert ("closed", ["Completed", "Running", "Cancelled"]) == at_the_limit
    assert ["Completed", "Completed", "Cancelled"] == bench.statuses()
    assert 20.0 == bench.session_record().usage_seconds
    assert 20 == bench.service.usage()["usage_consumed_seconds"]


def test_at_the_usage_limit_the_running_job_may_be_cancelled(make_bench):
    """By the other reading (C2) a session's job stops at the second of the limit."""
    disputed = DisputedRules(running_jobs_at_usage_limit="cancel")
    bench = make_bench(instances=limited(15), disputed=disputed)
    session = Session(backend=bench.backend)
    for _ in range(2):
        bench.submit(session)

    bench.clock.advance(15 - MILLISECOND)
    before = bench.statuses()
    bench.clock.advance(MILLISECOND)

    assert ["Completed", "Running"] == before
    assert ["Completed", "Cancelled"] == bench.statuses()
    assert 15.0 == bench.session_record().usage_seconds


def test_a_job_of_a_closed_session_may_be_cancelled_at_the_usage_limit(make_bench):
    """A job that outlives its session's max TTL does not outlive the limit (C2)."""
    disputed = DisputedRules(running_jobs_at_usage_limit="cancel")
    bench = make_bench(
        instances=limited(15), disputed=disputed, timing=TimingSettings(fixed_seconds=100.0)
    )
    session = Session(backend=bench.backend, max_time=12)
    bench.submit(session)

    bench.clock.advance(12)
    at_max_ttl = (session.details()["state"], bench.statuses())
    bench.clock.advance(3)

    assert ("closed", ["Running"]) == at_max_ttl
    assert (["Cancelled"], 15.0) == (bench.statuses(), bench.session_record().usage_seconds)


def test_in_job_mode_too_a_running_job_may_be_cancelled_at_the_limit(make_bench):
    """A job is stopped when it has used what was left at its start (C2), and billed for that."""
    disputed = DisputedRules(running_jobs_at_usage_limit="cancel")
    bench = make_bench(instances=limited(15), disputed=disputed)
    for _ in range(2):
        bench.submit()
    bench.clock.advance(20)

    assert ["Completed", "Cancelled"] == bench.statuses()
    assert [10, 5] == [job.charged_seconds for job in bench.emulator.jobs]
    assert "usage limit" in bench.emulator.jobs[1].reason


def test_a_batch_is_terminated_when_a_job_reaches_the_limit(make_bench):
    """A batch counts by its jobs: the one that reaches the limit is its last."""
    bench = make_bench(instances=limited(20))
    batch = Batch(backend=bench.backend)
    for _ in range(3):
        bench.submit(batch)
    bench.clock.advance(20)

    assert ["Completed", "Completed", "Cancelled"] == bench.statuses()
    assert ["usage_limit"] == ends(bench)


def test_everything_of_the_instance_ends_at_its_limit_and_nothing_of_others(make_bench, connect):
    """Sessions on other devices, unused ones and jobs in line end; another instance goes on."""
    rich = InstanceSettings(crn=CRN.format("rich"), name="rich")
    bench = make_bench(instances=(*limited(10), rich))
    other = Bench(bench.emulator, client := connect(bench.emulator, rich), None)
    other.backend = client.backend("ibm_manila")
    Session(backend=bench.backend)
    waiting = Session(backend=bench.backend)
    elsewhere = Session(backend=bench.service.backend("ibm_sherbrooke"))
    theirs = Session(backend=other.backend)
    bench.submit(elsewhere)
    jobs = [bench.submit(), bench.submit(waiting), bench.submit(), other.submit(theirs)]

    bench.clock.advance(20)

    assert ["usage_limit", "usage_limit", "usage_limit", None] == ends(bench)
    assert ["DONE", "CANCELLED", "CANCELLED", "DONE"] == [job.status() for job in jobs]


def test_an_instance_at_its_limit_is_refused_with_409(make_bench):
    """Jobs are refused, as the API's description says; sessions and batches are refused too."""
    bench = make_bench(instances=limited(10))
    bench.submit()
    bench.clock.advance(10)

    with (
        pytest.warns(UserWarning, match="usage limit"),
        pytest.raises(IBMRuntimeError, match="reached its usage limit"),
    ):
        bench.submit()
    for mode in (Session, Batch):
        with pytest.raises(RequestsApiError) as refusal:
            mode(backend=bench.backend)
        assert 409 == refusal.value.status_code


def test_two_active_sessions_reach_the_limit_twice_as_fast(make_bench):
    """Every active session counts."""
    bench = make_bench(instances=limited(30))
    for name in ("ibm_manila", "ibm_sherbrooke"):
        bench.submit(Session(backend=bench.service.backend(name)))

    bench.clock.advance(15 - MILLISECOND)
    before = ends(bench)
    bench.clock.advance(MILLISECOND)

    assert ([None, None], ["usage_limit", "usage_limit"]) == (before, ends(bench))


@pytest.mark.parametrize(
    ("plan", "limit"), [("open", 600), ("pay-as-you-go", None), ("flex", None), ("premium", None)]
)
def test_a_plan_has_its_own_limit(make_bench, plan, limit):
    """The Open plan has ten minutes; the others have what their instance is given."""
    bench = make_bench(instances=(InstanceSettings(plan=plan),))

    assert limit == bench.service.usage().get("usage_limit_seconds")


@pytest.mark.parametrize(
    ("plan", "days", "left"), [("open", 28, 60), ("premium", 28, 60), ("flex", 28, 50)]
)
def test_usage_is_counted_over_twenty_eight_days(plan, days, left):
    """What is 28 days old counts no more; the minutes of a Flex contract never come back."""
    instance = InstanceSettings(plan=plan, usage_limit_seconds=60)
    account = Account(instance, WorkloadLimits())
    account.charge(10, at=1000.0)

    assert 50 == account.seconds_left(1000.0 + days * DAY - MILLISECOND)
    assert left == account.seconds_left(1000.0 + days * DAY)


def test_a_deleted_job_stays_paid(make_bench):
    """Deleting a job takes its record away, not what it used."""
    bench = make_bench()
    job = bench.submit()
    bench.clock.advance(10)
    bench.service.delete_job(job.job_id())

    assert 10 == bench.service.usage()["usage_consumed_seconds"]


@pytest.mark.parametrize("place", ["job mode", "session"])
def test_submissions_may_be_limited_to_five_a_minute(make_bench, place):
    """F2: the sixth is refused with 429, and accepted when the first is a minute old."""
    limits = WorkloadLimits(submissions_per_minute=5)
    bench = make_bench(limits=limits, timing=TimingSettings(fixed_seconds=1.0))
    session = Session(backend=bench.backend) if place == "session" else None
    for _ in range(5):
        bench.submit(session)
        bench.clock.advance(2)

    for seconds in (0, 50 - MILLISECOND):
        bench.clock.advance(seconds)
        with pytest.raises(IBMRuntimeError, match='"code":1202'):
            bench.submit(session)
    bench.clock.advance(MILLISECOND)
    bench.submit(session)

    assert 6 == len(bench.emulator.jobs)


def test_submissions_are_not_limited_by_default(bench):
    """F2: the limit is one of the API's description, and said of users, not of instances."""
    for _ in range(7):
        bench.submit()

    assert 7 == len(bench.emulator.jobs)


# -- fair share


@pytest.fixture
def instances(make_bench, connect):
    """Return benches of two instances on one device, with so much of a day allocated to each."""

    def make(*allocations: int, **settings) -> tuple[Bench, ...]:
        owners = tuple(
            InstanceSettings(crn=CRN.format(name), name=name, usage_allocation_seconds=seconds)
            for name, seconds in zip("ab", allocations, strict=False)
        )
        emulator = make_bench(instances=owners, **settings).emulator
        clients = [connect(emulator, owner) for owner in owners]
        return tuple(Bench(emulator, c, c.backend("ibm_manila")) for c in clients)

    return make


def order(bench) -> str:
    """Return whose jobs ran, in the order they started."""
    started = sorted((job.started, job.instance) for job in bench.emulator.jobs if job.started)
    return "".join(instance.split(":")[-3] for _, instance in started)


def test_the_instance_that_used_least_of_its_allocation_is_next(instances):
    """Who came first waits for whoever has had less, until they are even again."""
    one, other = instances(100, 100)
    for bench in (one, one, one, other, other):
        bench.submit()
    one.clock.advance(50)

    assert "ababa" == order(one)


def test_fair_share_goes_by_the_part_of_the_allocation(instances):
    """Ten seconds of a thousand are less than ten of a hundred."""
    one, other = instances(1000, 100)
    for bench in (other, one, one, one, other):
        bench.submit()
        bench.submit()
    one.clock.advance(100)

    assert "baaaaaa" == order(one)[:7]


def test_within_an_instance_the_oldest_workload_is_next(instances):
    """Fair share between instances leaves the order inside each of them as it is."""
    one, other = instances(100, 100)
    for bench in (one, one, one, other, other):
        bench.submit()
    one.clock.advance(50)
    starts = [(job.instance, job.started) for job in one.emulator.jobs]

    for _, jobs in itertools.groupby(starts, key=lambda start: start[0]):
        times = [started for _, started in jobs]
        assert times == sorted(times)


def test_fair_share_leaves_the_turns_of_other_tenants_alone(instances):
    """Who is preferred takes a turn of ours: nobody waits behind more foreign jobs for it."""
    one, other = instances(100, 100, queue=QueueSettings(jobs_ahead=1, seconds_each=20))
    for bench in (one, one, other):
        bench.submit()
    one.clock.advance(90)

    assert "aba" == order(one)
    assert [20.0, 80.0, 50.0] == [job.queue_seconds for job in one.emulator.jobs]


# -- where the documents disagree


@pytest.mark.parametrize(("reading", "status"), [("fail", "Failed"), ("cancel", "Cancelled")])
def test_queued_jobs_at_max_ttl_fail_or_are_cancelled(make_bench, reading, status):
    """C1: most pages say they fail, others that they are cancelled."""
    bench = make_bench(disputed=DisputedRules(queued_jobs_at_max_ttl=reading))
    session = Session(backend=bench.backend, max_time=5)
    for _ in range(2):
        bench.submit(session)
    bench.clock.advance(10)

    assert ["Completed", status] == bench.statuses()
    assert 4001 == bench.emulator.jobs[1].reason_code


@pytest.mark.parametrize(("ttl", "state"), [(1.0, "inactive"), (60.0, "active")])
def test_the_interactive_ttl_of_a_batch_is_a_second_or_a_minute(make_bench, ttl, state):
    """C3: one second in what the service prints, a minute in the guide's prose."""
    bench = make_bench(limits=WorkloadLimits(batch_interactive_ttl_seconds=ttl))
    batch = Batch(backend=bench.backend)
    bench.submit(batch)
    bench.clock.advance(11)

    assert (ttl, state) == (batch.details()["interactive_timeout"], batch.details()["state"])


@pytest.mark.parametrize(("closes", "end"), [(False, None), (True, "close")])
def test_a_batch_may_close_after_its_last_job(make_bench, closes, end):
    """C4: it is inactive and may be used again, or it is over."""
    bench = make_bench(disputed=DisputedRules(batch_closes_after_last_job=closes))
    batch = Batch(backend=bench.backend)
    for _ in range(2):
        bench.submit(batch)
    bench.clock.advance(20)

    assert ["Completed", "Completed"] == bench.statuses()
    assert [end] == ends(bench)


@pytest.mark.parametrize("shown", [False, True])
def test_metrics_may_have_quantum_seconds(make_bench, shown):
    """C5: the field the guides still print was removed from the API in March 2026."""
    bench = make_bench(disputed=DisputedRules(quantum_seconds_in_metrics=shown))
    job = bench.submit()
    bench.clock.advance(10)

    assert (10 if shown else None) == job.metrics()["usage"].get("quantum_seconds")
