"""The line before a QPU, and how long a job holds it."""

import itertools

import pytest
from qiskit_ibm_runtime import Session
from qiskit_ibm_runtime.exceptions import RuntimeJobMaxTimeoutError

from prefect_qsession.emulator import DeviceSettings, QueueSettings, TimingSettings
from tests.harness.waiting import wait_until


def test_in_job_mode_every_job_waits_behind_other_tenants(make_bench):
    """Each job in job mode has as many foreign jobs before it as the queue's settings say."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=3, seconds_each=20))
    for _ in range(2):
        bench.submit()
        bench.clock.advance(70)

    assert [60.0, 60.0] == [job.queue_seconds for job in bench.emulator.jobs]


def test_other_tenants_are_seen_in_the_length_of_the_queue(make_bench):
    """The queue's length counts waiting jobs, whoever's, and shrinks as they run."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=3, seconds_each=20))
    bench.submit()

    lengths = [bench.backend.status().pending_jobs]
    for _ in range(3):
        bench.clock.advance(20)
        lengths.append(bench.backend.status().pending_jobs)

    assert [3, 2, 1, 0] == lengths


def test_a_device_may_have_a_queue_of_its_own(make_bench, connect):
    """A device's queue replaces the service's, so that the client finds the least busy."""
    devices = (
        DeviceSettings("ibm_manila", "manila", queue=QueueSettings(5, 60)),
        DeviceSettings("ibm_quito", "quito"),
    )
    bench = make_bench(devices=devices)
    bench.submit()

    # The client remembers the list of devices: a new one looks again.
    assert "ibm_quito" == connect(bench.emulator).least_busy().name


def test_a_job_holds_the_qpu_for_the_modelled_time(make_bench):
    """QPU time is the overhead plus a time per execution; the charge is in whole seconds."""
    bench = make_bench(timing=TimingSettings(overhead_seconds=2.0, seconds_per_execution=0.001))
    job = bench.submit(default_shots=300)

    bench.clock.advance(2.299)
    before = job.status()
    bench.clock.advance(0.001)

    [record] = bench.emulator.jobs
    assert ("RUNNING", "DONE") == (before, job.status())
    assert (300, 2.3, 3) == (record.executions, record.qpu_seconds, record.charged_seconds)


def test_a_spread_of_times_is_drawn_by_the_seed(make_bench):
    """Spread times differ from job to job and are the same for the same seed."""
    drawn = []
    for seed in (1, 1, 2):
        bench = make_bench(seed=seed, timing=TimingSettings(fixed_seconds=10, spread=0.5))
        for _ in range(2):
            bench.submit()
            bench.clock.advance(20)
        drawn.append([job.qpu_seconds for job in bench.emulator.jobs])

    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0][0] != drawn[0][1]
    assert all(5 <= seconds <= 15 for seconds in drawn[0])


def test_a_job_that_runs_too_long_is_cancelled_at_its_limit(bench):
    """A job is stopped when its QPU time reaches max_execution_time, and the client says why."""
    job = bench.submit(max_execution_time=4)

    bench.clock.advance(4)

    with pytest.raises(RuntimeJobMaxTimeoutError):
        job.result()
    [record] = bench.emulator.jobs
    assert ("Cancelled", 1305, 4) == (record.status, record.reason_code, record.charged_seconds)


def test_usage_is_pending_until_the_job_is_over(bench):
    """A job's usage reads as zero and pending while it runs, and as its charge when it is done."""
    job = bench.submit()
    running = (job.metrics()["usage"], job.usage())
    bench.clock.advance(10)

    assert ({"qpu_charge_time_seconds": 0, "status": "pending"}, 0) == running
    assert {"qpu_charge_time_seconds": 10, "status": "complete"} == job.metrics()["usage"]
    assert 10 == job.usage()


def test_nothing_is_left_waiting_when_the_clock_runs_by_itself(make_emulator, connect):
    """On a fast running clock jobs start, end and make room without anybody asking."""
    from .conftest import Bench  # noqa: PLC0415

    emulator = make_emulator(
        time_scale=200.0,
        timing=TimingSettings(fixed_seconds=5.0),
        queue=QueueSettings(jobs_ahead=1, seconds_each=10),
    )
    service = connect(emulator)
    bench = Bench(emulator, service, service.backend("ibm_manila"))
    with Session(backend=bench.backend) as session:
        jobs = [bench.submit(session) for _ in range(2)]
    for job in jobs:
        job.result(timeout=30)

    first, second = emulator.jobs
    assert 10.0 == pytest.approx(first.queue_seconds, abs=5)
    assert second.started >= first.finished
    assert "closed" == emulator.sessions[0].state


BUSY = QueueSettings(arrivals_per_hour=50, arrival_seconds=60, jobs_at_start=12)


def lengths_by_hour(bench, hours: int) -> list[int]:
    """Return the length of the queue now and after each of so many hours."""
    lengths = [bench.backend.status().pending_jobs]
    for _ in range(hours):
        bench.clock.advance(3600)
        lengths.append(bench.backend.status().pending_jobs)
    return lengths


def test_other_tenants_make_a_queue_that_grows_and_ebbs(make_bench):
    """Over a week the queue is now longer and now shorter, and empties now and then."""
    lengths = lengths_by_hour(make_bench(queue=BUSY), 7 * 24)

    assert 11 == lengths[0]
    assert 0 == min(lengths) < 5 < max(lengths)
    steps = {later > earlier for earlier, later in itertools.pairwise(lengths)}
    assert {True, False} == steps


def test_the_queue_of_other_tenants_is_the_same_for_the_same_seed(make_bench):
    """Their jobs come and last as drawn by the seed, device by device."""
    first, again, other = (
        lengths_by_hour(make_bench(queue=BUSY, seed=seed), 24) for seed in (1, 1, 2)
    )

    assert first == again != other


def test_job_mode_waits_for_every_job_and_a_session_for_its_first(make_bench):
    """The queue of other tenants is what makes a session worth its price."""
    bench = make_bench(queue=QueueSettings(arrivals_per_hour=50, jobs_at_start=200))
    for _ in range(3):
        bench.submit()
        bench.clock.advance(2 * 3600)
    session = Session(backend=bench.backend)
    bench.submit(session)
    while bench.session_record().started is None:
        bench.clock.advance(5)
    for _ in range(3):
        bench.submit(session)
    bench.clock.advance(60)

    waits = [job.queue_seconds for job in bench.emulator.jobs]
    assert all(seconds > 60 for seconds in waits[:4])
    assert all(seconds <= 40 for seconds in waits[4:])


def test_other_tenants_are_no_part_of_the_record(make_bench):
    """Their jobs are seen as the length of the queue, and nowhere else."""
    bench = make_bench(queue=BUSY)
    bench.clock.advance(3600)

    assert ([], []) == (bench.emulator.jobs, bench.emulator.sessions)
    assert [] == bench.service.jobs()
    assert 0 == bench.service.usage()["usage_consumed_seconds"]


def test_other_tenants_come_by_themselves_when_the_clock_runs(make_emulator, connect):
    """On a fast clock the queue moves while nobody asks."""
    emulator = make_emulator(time_scale=36000.0, queue=BUSY)
    backend = connect(emulator).backend("ibm_manila")
    seen = {backend.status().pending_jobs}

    def moves() -> bool:
        seen.add(backend.status().pending_jobs)
        return len(seen) > 2

    wait_until(moves)


@pytest.mark.parametrize(
    "wrong",
    [
        {"arrivals_per_hour": 60, "arrival_seconds": 60},
        {"arrivals_per_hour": -1},
        {"arrival_seconds": -1},
        {"jobs_at_start": -1},
    ],
)
def test_a_queue_that_cannot_be_is_refused(wrong):
    """Neither less than nothing, nor more work than there is time."""
    with pytest.raises(ValueError, match=r"other tenants|negative"):
        QueueSettings(**wrong)
