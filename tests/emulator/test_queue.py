"""The line before a QPU, and how long a job holds it."""

import pytest
from qiskit_ibm_runtime import Session
from qiskit_ibm_runtime.exceptions import RuntimeJobMaxTimeoutError

from prefect_qsession.emulator import DeviceSettings, QueueSettings, TimingSettings


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
