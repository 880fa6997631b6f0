"""Execution lanes: what of several jobs overlaps, and what does not, second by second."""

import pytest
from qiskit_ibm_runtime import Batch, Session

from prefect_qsession.emulator import (
    DisputedRules,
    EmulatorSettings,
    InstanceSettings,
    QueueSettings,
    TimingSettings,
)

MILLISECOND = 0.001
CLASSICAL = TimingSettings(fixed_seconds=10.0, classical_seconds=4.0)


@pytest.fixture
def five(make_bench):
    """Return a bench with five lanes: four seconds of classical part, ten of QPU."""
    return make_bench(execution_lanes=5, timing=CLASSICAL)


def times(bench, name: str) -> list[float | None]:
    """Return a time of every job, in seconds after the first was created."""
    jobs = bench.emulator.jobs
    origin = jobs[0].created
    return [None if (at := getattr(job, name)) is None else at - origin for job in jobs]


def test_a_device_has_five_lanes():
    """As most of IBM's have."""
    assert 5 == EmulatorSettings().execution_lanes


def test_jobs_of_a_session_overlap_in_their_classical_part(five):
    """S12: submitted at once they run at once, and use the QPU one after the other."""
    session = Session(backend=five.backend)
    for _ in range(3):
        five.submit(session)
    at_once = five.statuses()
    session.close()
    five.clock.advance(34)

    assert ["Running"] * 3 == at_once
    assert [0, 0, 0] == times(five, "started")
    assert [4, 14, 24] == times(five, "qpu_started")
    assert [14, 24, 34] == times(five, "finished")
    # U1: compiling and waiting for the QPU are part of a session's time.
    assert 34.0 == five.session_record().usage_seconds
    assert "closed" == five.session_record().state


def test_a_job_is_running_from_its_classical_part_on(five):
    """J2: it is seen as running at once, and has used nothing until it gets the QPU."""
    job = five.submit()
    begun = (job.status(), five.emulator.jobs[0].qpu_started)
    five.clock.advance(14 - MILLISECOND)
    before = job.status()
    five.clock.advance(MILLISECOND)

    assert ("RUNNING", None) == begun
    assert ("RUNNING", "DONE") == (before, job.status())
    assert 10 == job.usage()


def test_waiting_for_the_qpu_uses_nothing_of_a_jobs_time_limit(five):
    """J1: the limit counts QPU time, however long a job runs before it gets the QPU."""
    jobs = [five.submit(max_execution_time=10) for _ in range(4)]
    five.clock.advance(44)

    assert ["DONE"] * 4 == [job.status() for job in jobs]
    assert [10] * 4 == [job.charged_seconds for job in five.emulator.jobs]


def test_five_jobs_run_at_once_and_the_sixth_waits(five):
    """B6: each job that ends lets the next one in, which has its classical part before it."""
    batch = Batch(backend=five.backend)
    for _ in range(7):
        five.submit(batch)
    seen = [five.statuses()]
    five.clock.advance(14)
    seen.append(five.statuses())
    pending = five.backend.status().pending_jobs
    five.clock.advance(70)

    assert ["Running"] * 5 + ["Queued"] * 2 == seen[0]
    assert ["Completed", *["Running"] * 5, "Queued"] == seen[1]
    assert 1 == pending
    assert [0, 0, 0, 0, 0, 14, 24] == times(five, "started")
    assert [4, 14, 24, 34, 44, 54, 64] == times(five, "qpu_started")
    # U2: neither the classical part nor the wait for the QPU is paid.
    assert 70.0 == five.session_record().usage_seconds


def test_a_batch_takes_the_free_lanes_and_others_get_the_rest(five):
    """B6: a job outside waits while the batch has jobs for every lane, and then runs beside it."""
    batch = Batch(backend=five.backend)
    for _ in range(6):
        five.submit(batch)
    five.submit()
    five.clock.advance(14)
    first = five.statuses()[-2:]
    five.clock.advance(10)

    assert ["Running", "Queued"] == first
    assert ["Running", "Running"] == five.statuses()[-2:]


def test_the_qpu_goes_to_whoever_was_ready_first(five):
    """A job that comes while another holds the QPU gets it the moment it is free."""
    for seconds in (0, 1, 1):
        five.clock.advance(seconds)
        five.submit()
    five.clock.advance(40)

    assert [0, 1, 2] == times(five, "started")
    assert [4, 14, 24] == times(five, "qpu_started")


def test_a_free_qpu_waits_for_the_classical_part(five):
    """What comes when the others are nearly over leaves the QPU idle until it is ready."""
    five.submit()
    five.clock.advance(12)
    five.submit()
    five.clock.advance(14)

    assert [4, 16] == times(five, "qpu_started")
    assert [14, 26] == times(five, "finished")


def test_a_session_begins_when_no_other_job_runs_and_nobody_overtakes_it(five):
    """S1, S2: the device is its own from its first job on, so it waits for the lanes to empty."""
    five.submit()
    session = Session(backend=five.backend)
    five.submit(session)
    five.submit()
    before = five.statuses()
    five.clock.advance(14)
    during = five.statuses()
    session.close()
    five.clock.advance(14)

    assert ["Running", "Queued", "Queued"] == before
    assert ["Completed", "Running", "Queued"] == during
    assert ["Completed", "Completed", "Running"] == five.statuses()
    assert [0, 14, 28] == times(five, "started")
    assert 14.0 == five.session_record().usage_seconds


def test_other_tenants_have_the_device_to_themselves(make_bench):
    """Their jobs keep it for as long as the settings say, whatever the number of lanes."""
    queue = QueueSettings(jobs_ahead=2, seconds_each=30)
    bench = make_bench(execution_lanes=5, timing=CLASSICAL, queue=queue)
    for _ in range(2):
        bench.submit()
    bench.clock.advance(200)

    assert [60, 134] == times(bench, "started")


def test_the_interactive_ttl_begins_after_the_last_of_the_jobs(five):
    """S4: a session with a job in a lane is not idle."""
    session = Session(backend=five.backend)
    for _ in range(2):
        five.submit(session)
    five.clock.advance(24 + 60 - MILLISECOND)
    before = five.session_record().state
    five.clock.advance(MILLISECOND)

    assert ("active", "inactive") == (before, five.session_record().state)
    assert 84.0 == five.session_record().usage_seconds


def test_cancelling_a_session_leaves_the_jobs_that_run(five):
    """S9: what is in a lane completes, what waits for one is dropped."""
    session = Session(backend=five.backend)
    for _ in range(7):
        five.submit(session)
    session.cancel()
    five.clock.advance(54)

    assert ["Completed"] * 5 + ["Cancelled"] * 2 == five.statuses()
    record = five.session_record()
    assert ("closed", "cancel", 54.0) == (record.state, record.ended_by, record.usage_seconds)


def test_at_max_ttl_all_that_runs_completes(five):
    """S10, U1: the jobs in the lanes go on past the closing, and the session pays for them."""
    session = Session(backend=five.backend, max_time=20)
    for _ in range(6):
        five.submit(session)
    five.clock.advance(20)
    at_max_ttl = (five.session_record().state, five.statuses())
    five.clock.advance(60)

    # The first was over at 14 s, which let the sixth in.
    assert ("closed", ["Completed", *["Running"] * 5]) == at_max_ttl
    assert ["Completed"] * 6 == five.statuses()
    assert 64.0 == five.session_record().usage_seconds


def test_a_job_that_waits_for_the_qpu_is_cancelled_without_charge(five):
    """U3: it has used nothing; those behind it move up."""
    jobs = [five.submit() for _ in range(3)]
    five.clock.advance(6)
    jobs[1].cancel()
    five.clock.advance(18)

    assert ["Completed", "Cancelled", "Completed"] == five.statuses()
    assert [10, 0, 10] == [job.charged_seconds for job in five.emulator.jobs]
    assert [4, None, 14] == times(five, "qpu_started")


def test_a_job_is_cancelled_in_its_classical_part(five):
    """It leaves its lane, and what it was about to do does not happen."""
    job = five.submit()
    five.clock.advance(2)
    job.cancel()
    five.clock.advance(100)

    assert (["Cancelled"], [None]) == (five.statuses(), times(five, "qpu_started"))
    assert 0 == job.usage()


def test_at_the_usage_limit_every_running_job_may_be_cancelled(make_bench):
    """C2: the one on the QPU is billed for what it had, those that wait for it for nothing."""
    bench = make_bench(
        execution_lanes=5,
        timing=CLASSICAL,
        instances=(InstanceSettings(usage_limit_seconds=15),),
        disputed=DisputedRules(running_jobs_at_usage_limit="cancel"),
    )
    session = Session(backend=bench.backend)
    for _ in range(3):
        bench.submit(session)
    bench.clock.advance(15)

    assert ["Completed", "Cancelled", "Cancelled"] == bench.statuses()
    assert [10, 1, 0] == [job.charged_seconds for job in bench.emulator.jobs]
    assert 15.0 == bench.session_record().usage_seconds


@pytest.mark.parametrize("lanes", [0, -1])
def test_a_device_without_a_lane_is_refused(lanes):
    """Nothing would ever run."""
    with pytest.raises(ValueError, match="execution lane"):
        EmulatorSettings(execution_lanes=lanes)


def test_a_batch_whose_job_finds_no_free_lane_in_time_queues_again(make_bench):
    """B3: it is deactivated with a job that waits, and goes on when it is its turn."""
    bench = make_bench(execution_lanes=1)
    first, second = Batch(backend=bench.backend), Batch(backend=bench.backend)
    bench.submit(first)
    bench.submit(second)
    bench.clock.advance(10)
    bench.submit(first)
    bench.clock.advance(5)
    meanwhile = bench.emulator.sessions[0].state
    bench.clock.advance(15)

    assert "inactive" == meanwhile
    assert [0, 10, 20] == times(bench, "started")
    assert ["Completed"] * 3 == bench.statuses()
