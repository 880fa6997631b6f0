"""Each time limit of the service as it is by default, a millisecond before it and at it."""

import pytest
from qiskit_ibm_runtime import Batch, Session

from prefect_qsession.emulator import InstanceSettings, TimingSettings

MILLISECOND = 0.001
MINUTE, HOUR = 60, 3600


@pytest.mark.parametrize("mode", [Session, Batch])
@pytest.mark.parametrize(("seconds", "state"), [(28799, "inactive"), (28800, "closed")])
def test_sessions_and_batches_end_after_eight_hours(bench, mode, seconds, state):
    """At 28,799 s after its first job started it may still be used, at 28,800 s no more."""
    workload = mode(backend=bench.backend)
    bench.submit(workload)

    bench.clock.advance(seconds)

    assert state == workload.details()["state"]
    assert [None if state == "inactive" else "max_ttl"] == bench.emulator.outcomes


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(10 * MINUTE - MILLISECOND, "inactive"), (10 * MINUTE, "closed")],
)
def test_a_batch_of_the_open_plan_ends_after_ten_minutes(make_bench, seconds, state):
    """Counted from its first job's start, as for all."""
    bench = make_bench(instances=(InstanceSettings(plan="open"),))
    batch = Batch(backend=bench.backend)
    bench.submit(batch)

    bench.clock.advance(seconds)

    assert state == batch.details()["state"]


@pytest.mark.parametrize(("idle", "state"), [(1 - MILLISECOND, "active"), (1, "inactive")])
def test_a_batch_is_inactive_a_second_after_its_last_job(bench, idle, state):
    """Its interactive TTL is a second."""
    batch = Batch(backend=bench.backend)
    bench.submit(batch)

    bench.clock.advance(10 + idle)

    assert state == batch.details()["state"]


@pytest.mark.parametrize("mode", [Session, Batch])
@pytest.mark.parametrize(
    ("seconds", "state"), [(30 * MINUTE - MILLISECOND, "open"), (30 * MINUTE, "closed")]
)
def test_what_is_never_used_closes_after_half_an_hour(bench, mode, seconds, state):
    """Sessions and batches alike, counted from their opening."""
    workload = mode(backend=bench.backend)

    bench.clock.advance(seconds)

    assert state == workload.details()["state"]


@pytest.mark.parametrize(
    ("plan", "limit"), [("premium", 3 * HOUR), ("pay-as-you-go", 3 * HOUR), ("open", 10 * MINUTE)]
)
@pytest.mark.parametrize(("more", "status"), [(0, "Completed"), (MILLISECOND, "Cancelled")])
def test_a_job_may_use_the_qpu_for_three_hours(make_bench, plan, limit, more, status):
    """Just as long is allowed; a millisecond more ends it at the limit, with code 1305."""
    bench = make_bench(
        instances=(InstanceSettings(plan=plan, usage_limit_seconds=24 * HOUR),),
        timing=TimingSettings(fixed_seconds=limit + more),
    )
    bench.submit()

    bench.clock.advance(limit - MILLISECOND)
    before = bench.statuses()
    bench.clock.advance(MILLISECOND)

    assert ["Running"] == before
    assert [status] == bench.statuses()
    assert limit == bench.emulator.jobs[0].charged_seconds
    assert (None if status == "Completed" else 1305) == bench.emulator.jobs[0].reason_code
