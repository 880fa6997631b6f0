"""The life of sessions and batches, second by second on a hand clock."""

import pytest
from qiskit_ibm_runtime import Batch, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMInputValueError, IBMRuntimeError

from prefect_qsession.emulator import InstanceSettings, QueueSettings, TimingSettings

MILLISECOND = 0.001


def states(record) -> list[str]:
    """Return the states a session has been in."""
    return [transition.state for transition in record.transitions]


def test_a_new_session_is_open_and_has_the_default_limits(bench):
    """Before its first job a session is open, accepts jobs, and nothing is billed."""
    details = Session(backend=bench.backend).details()

    assert ("open", True, "dedicated") == (
        details["state"],
        details["accepting_jobs"],
        details["mode"],
    )
    assert (60, 28800, 28800) == (
        details["interactive_timeout"],
        details["max_time"],
        details["active_timeout"],
    )
    assert [None] * 5 == [
        details[name]
        for name in ("started_at", "activated_at", "closed_at", "last_job_started", "usage_time")
    ]


def test_a_session_starts_when_its_first_job_starts_running(make_bench):
    """The first job waits in line as any job; the session is active from the moment it runs."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=2, seconds_each=30))
    session = Session(backend=bench.backend)
    job = bench.submit(session)

    bench.clock.advance(60 - MILLISECOND)
    waiting = (session.status(), job.status())
    bench.clock.advance(MILLISECOND)

    assert ("Pending", "QUEUED") == waiting
    assert ("In progress, accepting new jobs", "RUNNING") == (session.status(), job.status())
    assert 60.0 == bench.session_record().started - bench.session_record().created


def test_jobs_of_an_active_session_go_straight_on(make_bench):
    """Only the first job of a session waits behind other tenants."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=1, seconds_each=100))
    session = Session(backend=bench.backend)
    for seconds in (115, 15, 15):
        bench.submit(session)
        bench.clock.advance(seconds)

    assert [100.0, 0.0, 0.0] == [job.queue_seconds for job in bench.emulator.jobs]


@pytest.mark.parametrize(("idle", "state"), [(60 - MILLISECOND, "active"), (60, "inactive")])
def test_the_interactive_ttl_ends_at_sixty_seconds_sharp(bench, idle, state):
    """A session is active until 60 s after its last job, and inactive from then on."""
    session = Session(backend=bench.backend)
    bench.submit(session)

    bench.clock.advance(10 + idle)

    assert state == session.details()["state"] == bench.session_record().state


def test_the_interactive_ttl_starts_anew_after_each_job(bench):
    """A job within the interactive TTL restarts it when it completes."""
    session = Session(backend=bench.backend)
    for _ in range(3):
        bench.submit(session)
        bench.clock.advance(10 + 59)

    assert ["open", "active"] == states(bench.session_record())


def test_a_job_that_comes_at_the_last_instant_finds_the_session_inactive(make_bench):
    """At exactly 60 s the session is inactive: the job waits in line and reactivates it."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=1, seconds_each=5))
    session = Session(backend=bench.backend)
    bench.submit(session)
    bench.clock.advance(5 + 10 + 60)

    job = bench.submit(session)
    queued = job.status()
    bench.clock.advance(5)

    assert ("QUEUED", "RUNNING") == (queued, job.status())
    assert ["open", "active", "inactive", "active"] == states(bench.session_record())
    assert "Pending" != session.status()


def test_an_inactive_session_lets_other_work_in(make_bench):
    """A job in job mode waits as long as a session is active, and runs when it is not."""
    bench = make_bench()
    session = Session(backend=bench.backend)
    bench.submit(session)
    bench.clock.advance(1)
    outside = bench.submit()

    bench.clock.advance(9 + 60 - MILLISECOND)
    waiting = outside.status()
    bench.clock.advance(MILLISECOND)

    assert ("QUEUED", "RUNNING") == (waiting, outside.status())


@pytest.mark.parametrize(("seconds", "state"), [(300 - MILLISECOND, "active"), (300, "closed")])
def test_the_max_ttl_ends_at_its_second_sharp(make_bench, seconds, state):
    """A session is closed when max_time has passed since its first job started."""
    bench = make_bench(timing=TimingSettings(fixed_seconds=290.0))
    session = Session(backend=bench.backend, max_time="5m")
    bench.clock.advance(1000)
    bench.submit(session)

    bench.clock.advance(seconds)

    assert state == session.details()["state"]
    assert (None if "active" == state else "max_ttl") == bench.session_record().ended_by


def test_the_max_ttl_does_not_pause_while_the_session_is_inactive(bench):
    """Inactive time counts: the session closes max_time after its start, whatever it did."""
    session = Session(backend=bench.backend, max_time=200)
    bench.submit(session)

    bench.clock.advance(200)

    record = bench.session_record()
    assert ["open", "active", "inactive", "closed"] == states(record)
    assert 200.0 == record.closed - record.started
    assert 70.0 == record.usage_seconds


def test_at_max_ttl_the_running_job_completes_and_the_queued_ones_fail(make_bench):
    """Nothing queued survives max_time; what runs is billed to its end, past the closing."""
    bench = make_bench(timing=TimingSettings(fixed_seconds=60.0))
    session = Session(backend=bench.backend, max_time=90)
    jobs = [bench.submit(session) for _ in range(3)]

    bench.clock.advance(100)
    at_closing = (session.status(), bench.statuses())
    bench.clock.advance(20)

    assert ("Closed", ["Completed", "Running", "Failed"]) == at_closing
    assert ["Completed", "Completed", "Failed"] == bench.statuses()
    assert 4001 == bench.emulator.jobs[2].reason_code
    assert "session that's been closed" in jobs[2].error_message()
    assert (90.0, 120.0) == (
        bench.session_record().closed - bench.session_record().started,
        bench.session_record().usage_seconds,
    )


def test_a_session_that_expired_refuses_jobs_with_code_1217(bench):
    """The client learns of an expired session by its next submission."""
    session = Session(backend=bench.backend, max_time=20)
    bench.submit(session)
    bench.clock.advance(20)

    with pytest.raises(IBMRuntimeError, match='"code":1217'):
        bench.submit(session)


@pytest.mark.parametrize(("seconds", "state"), [(1800 - MILLISECOND, "open"), (1800, "closed")])
def test_a_session_that_is_never_used_closes_after_thirty_minutes(bench, seconds, state):
    """Without a job a session closes 30 minutes after it was opened, at no cost."""
    session = Session(backend=bench.backend)

    bench.clock.advance(seconds)

    assert state == session.details()["state"]
    assert (None if "open" == state else "unused") == bench.session_record().ended_by
    assert 0.0 == bench.session_record().usage_seconds


def test_a_session_whose_job_is_still_queued_is_not_unused(make_bench):
    """A first job that waits longer than 30 minutes finds its session open."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=1, seconds_each=3600))
    session = Session(backend=bench.backend)
    bench.submit(session)

    bench.clock.advance(3610)

    assert ["open", "active"] == states(bench.session_record())


def test_a_session_whose_only_job_was_cancelled_counts_as_unused(make_bench):
    """Cancelling the queued first job leaves it open until 30 minutes after its opening."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=1, seconds_each=3600))
    session = Session(backend=bench.backend)
    bench.submit(session).cancel()

    bench.clock.advance(1800 - MILLISECOND)
    before = bench.session_record().state
    bench.clock.advance(MILLISECOND)

    assert ("open", "closed") == (before, session.details()["state"])


def test_closing_an_unused_session_closes_it_at_once(bench):
    """A session without jobs is closed as soon as it accepts none."""
    session = Session(backend=bench.backend)
    session.close()

    record = bench.session_record()
    assert ("closed", "close", "session_closed_early") == (
        record.state,
        record.ended_by,
        record.reason,
    )
    assert record.created == record.closed


def test_closing_an_idle_session_ends_its_billing_at_once(bench):
    """A session closed within its interactive TTL is billed up to the closing and no further."""
    with Session(backend=bench.backend) as session:
        bench.submit(session)
        bench.clock.advance(15)

    bench.clock.advance(3600)

    assert 15.0 == bench.session_record().usage_seconds == session.usage()


def test_closing_lets_queued_jobs_run_and_ends_after_the_last(bench):
    """After close, accepted jobs complete with the session still active, then it closes."""
    session = Session(backend=bench.backend)
    for _ in range(3):
        bench.submit(session)
    session.close()
    bench.clock.advance(25)
    during = (session.status(), bench.statuses())
    bench.clock.advance(5)

    assert "In progress, not accepting new jobs" == during[0]
    assert ["Completed", "Completed", "Running"] == during[1]
    record = bench.session_record()
    assert ("closed", "close", 30.0) == (record.state, record.ended_by, record.usage_seconds)
    assert ["Completed"] * 3 == bench.statuses()


def test_cancelling_drops_queued_jobs_while_the_running_one_completes(bench):
    """After cancel, the running job completes, the queued ones are cancelled, then it closes."""
    session = Session(backend=bench.backend)
    for _ in range(3):
        bench.submit(session)
    bench.clock.advance(4)
    session.cancel()
    during = (bench.session_record().state, bench.statuses())
    bench.clock.advance(6)

    assert ("active", ["Running", "Cancelled", "Cancelled"]) == during
    assert ["Completed", "Cancelled", "Cancelled"] == bench.statuses()
    record = bench.session_record()
    assert ("closed", "cancel", 10.0) == (record.state, record.ended_by, record.usage_seconds)
    assert [10, 0, 0] == [job.charged_seconds for job in bench.emulator.jobs]


def test_the_record_tells_qpu_time_apart_from_what_is_billed(bench):
    """QPU seconds are those of a session's jobs that are over; a cancelled one has what it had."""
    session = Session(backend=bench.backend)
    bench.submit(session)
    bench.clock.advance(15)
    running = bench.submit(session)
    bench.clock.advance(4)
    meanwhile = bench.session_record().qpu_seconds
    running.cancel()
    session.close()

    assert (10.0, 14.0) == (meanwhile, bench.session_record().qpu_seconds)
    assert 19.0 == bench.session_record().usage_seconds
    assert ["close"] == bench.emulator.outcomes


def test_cancelling_after_closing_drops_what_was_still_queued(bench):
    """A session that was closed can still be cancelled, and then counts as cancelled."""
    session = Session(backend=bench.backend)
    for _ in range(2):
        bench.submit(session)
    session.close()
    session.cancel()
    session.cancel()
    bench.clock.advance(10)

    assert ["Completed", "Cancelled"] == bench.statuses()
    assert "cancel" == bench.session_record().ended_by


def test_a_session_waiting_in_line_leaves_it_when_cancelled(make_bench):
    """A cancelled session that never ran is closed at once, and nobody waits for it."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=1, seconds_each=30))
    session = Session(backend=bench.backend)
    bench.submit(session)
    session.cancel()

    assert ("closed", "cancel") == (
        bench.session_record().state,
        bench.session_record().ended_by,
    )
    assert 0 == bench.backend.status().pending_jobs


def test_accepting_jobs_again_does_not_reopen_a_closed_session(bench):
    """The flag can be set on a closed session, as on the service; jobs are refused all the same."""
    session = Session(backend=bench.backend)
    session.close()
    url = f"/sessions/{session.session_id}"
    api = bench.service._get_api_client()._session

    answer = api.patch(url, json={"accepting_jobs": True})

    assert 204 == answer.status_code
    reopened = Session.from_id(session.session_id, bench.service)
    assert ("closed", True) == (reopened.details()["state"], reopened.details()["accepting_jobs"])
    reopened._active = True  # the client, too, refuses to use a closed session
    with pytest.raises(IBMRuntimeError, match='"code":1217'):
        bench.submit(reopened)


def test_a_session_can_be_found_again_by_its_id(bench):
    """Another client of the same instance attaches to a session and submits to it."""
    session = Session(backend=bench.backend)

    again = Session.from_id(session.session_id, bench.service)
    job = bench.submit(again)

    assert session.session_id == job.session_id
    assert (job.job_id(),) == bench.session_record().job_ids


def test_an_unknown_session_is_not_found(bench):
    """Looking for a session that is not there is a 404; closing it is no error for the client."""
    with pytest.raises(IBMInputValueError, match="Session not found"):
        Session.from_id("no-such-session", bench.service)
    client = bench.service._get_api_client()
    client.close_session("no-such-session")
    with pytest.raises(RequestsApiError, match="Session not found"):
        client.cancel_session("no-such-session")


@pytest.mark.parametrize("max_time", [28801, 10**9])
def test_max_time_cannot_exceed_the_limit_of_the_service(bench, max_time):
    """A session of more than eight hours is refused."""
    with pytest.raises(RequestsApiError, match='"code":1208'):
        Session(backend=bench.backend, max_time=max_time)


def test_two_sessions_on_one_device_take_turns(bench):
    """The second session's job waits until the first session is over."""
    first, second = Session(backend=bench.backend), Session(backend=bench.backend)
    bench.submit(first)
    waiting = bench.submit(second)
    bench.clock.advance(30)
    before = waiting.status()
    first.close()

    assert ("QUEUED", "RUNNING") == (before, waiting.status())


def test_sessions_on_different_devices_do_not_wait_for_each_other(bench):
    """Each device has a QPU of its own."""
    other = Session(backend=bench.service.backend("ibm_sherbrooke"))
    bench.submit(Session(backend=bench.backend))

    assert "RUNNING" == bench.submit(other).status()


def test_a_batch_shares_the_device_and_is_billed_by_its_jobs(make_bench):
    """A batch's jobs go first once it is active, others' run in between, and idle time is free."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=1, seconds_each=20))
    batch = Batch(backend=bench.backend)
    for _ in range(2):
        bench.submit(batch)
    outside = bench.submit()

    bench.clock.advance(40)
    after_batch = (bench.statuses(), batch.details()["state"])
    bench.clock.advance(1)
    idle = batch.details()["state"]
    bench.clock.advance(29)

    assert (["Completed", "Completed", "Queued"], "active") == after_batch
    assert "inactive" == idle
    assert "DONE" == outside.status()
    assert 20.0 == bench.session_record().usage_seconds == batch.usage()
    assert "session_inactivated_by_interactive_ttl" == bench.session_record().reason


def test_an_inactive_batch_is_reactivated_through_the_queue(make_bench):
    """A later job of a batch waits behind other tenants and makes the batch active again."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=1, seconds_each=20))
    batch = Batch(backend=bench.backend)
    bench.submit(batch)
    bench.clock.advance(100)
    bench.submit(batch)
    bench.clock.advance(25)

    assert ["open", "active", "inactive", "active"] == states(bench.session_record())
    assert [20.0, 20.0] == [job.queue_seconds for job in bench.emulator.jobs]


def test_a_batch_of_the_open_plan_lasts_ten_minutes(make_bench):
    """The Open plan has batches, shorter than the paid plans'."""
    bench = make_bench(instances=(InstanceSettings(plan="open"),))

    details = Batch(backend=bench.backend).details()

    assert ("batch", 600, 1) == (
        details["mode"],
        details["max_time"],
        details["interactive_timeout"],
    )


def test_the_timestamps_tell_every_transition(bench):
    """The session's document lists each state with the time it was entered."""
    session = Session(backend=bench.backend)
    bench.submit(session)
    bench.clock.advance(100)
    session.close()

    assert [
        "open",
        "active",
        "inactive",
        "closed",
    ] == [entry["status"] for entry in session.details()["timestamps"]]


def test_a_session_is_told_in_the_clients_words(bench):
    """Pending, in progress with or without new jobs, pending again, closed."""
    session = Session(backend=bench.backend)
    told = [session.status()]
    bench.submit(session)
    told.append(session.status())
    bench.clock.advance(10 + 60)
    told.append(session.status())
    bench.submit(session)
    session.close()
    told.append(session.status())
    bench.clock.advance(10)
    told.append(session.status())

    assert [
        "Pending",
        "In progress, accepting new jobs",
        "Pending",
        "In progress, not accepting new jobs",
        "Closed",
    ] == told
