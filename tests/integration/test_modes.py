"""Sessions, batches and plain jobs at the service, on a plan that has all and one that has not."""

from uuid import uuid4

import pytest
from qiskit_ibm_runtime import Batch, Session
from qiskit_ibm_runtime.executor_sampler import Sampler

from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.config.modes import Mode
from prefect_qsession.emulator import Answer, Fault, InstanceSettings, TimingSettings
from prefect_qsession.exceptions import ServiceUnavailable, SessionRefused, Unauthorized
from prefect_qsession.ibm.released import find_session
from prefect_qsession.ibm.service import Runtime, connect
from prefect_qsession.jobs.reattachment import run_tag
from tests.integration.conftest import flipped_qubit

OURS, THEIRS = run_tag(uuid4()), run_tag(uuid4())
ENOUGH = 600
"""Seconds: as long as a batch may be on any plan."""


def account(emulator, **changes):
    """Return the account of an emulator, changed as asked."""
    block = QiskitRuntimeCredentials.from_environment(emulator.environment())
    return QiskitRuntimeCredentials(**{**dict(block), **changes}).account()


@pytest.fixture
def make_runtime(make_emulator):
    """Connect to an emulator of a given plan."""

    def make(plan="premium", **settings):
        emulator = make_emulator(instances=(InstanceSettings(plan=plan),), **settings)
        return emulator, Runtime(account(emulator), "ibm_manila")

    return make


def submit(session, *tags):
    """Submit a job as the client's own primitive does in the session's mode."""
    sampler = Sampler(mode=session.client_mode, options={"environment": {"job_tags": list(tags)}})
    return sampler.run([flipped_qubit(5)], shots=10)


@pytest.mark.parametrize(
    ("mode", "kind", "wire"),
    [(Mode.SESSION, Session, "dedicated"), (Mode.BATCH, Batch, "batch")],
)
def test_a_premium_plan_opens_sessions_and_batches(mode, kind, wire, make_runtime):
    """Each is what was asked for, takes jobs, and is guarded because time runs for it."""
    emulator, runtime = make_runtime()
    session = runtime.open_session(ENOUGH, mode, OURS)
    submit(session, OURS).result()

    [record], [job] = emulator.sessions, emulator.jobs
    assert (wire, session.session_id) == (record.mode, record.id)
    assert record.id == job.session_id
    assert mode is session.mode
    assert kind is type(session.client_mode)
    assert ENOUGH == session.client_mode.details()["max_time"]


def test_job_mode_opens_nothing(make_runtime):
    """Its jobs run all the same, no clock runs, and its end asks nothing of the service."""
    emulator, runtime = make_runtime()
    session = runtime.open_session(ENOUGH, Mode.JOB, OURS)
    submit(session, OURS).result()
    session.close()

    [job] = emulator.jobs
    assert ([], None, "Completed") == (emulator.sessions, job.session_id, job.status)
    assert Mode.JOB is session.mode
    assert runtime.backend() is session.client_mode
    assert f"jobs-of-{OURS.split(':')[1]}" == session.session_id
    assert session.details().usage_seconds is None


def test_the_open_plan_refuses_sessions_and_takes_batches_and_jobs(make_runtime):
    """By IBM's code 1352, which lets the next mode be tried."""
    emulator, runtime = make_runtime("open")
    with pytest.raises(SessionRefused, match="open plan") as refused:
        runtime.open_session(ENOUGH, Mode.SESSION, OURS)

    assert 1352 == refused.value.code
    assert refused.value.by_plan
    for mode in (Mode.BATCH, Mode.JOB):
        submit(runtime.open_session(ENOUGH, mode, OURS), OURS).result()
    assert ["batch"] == [record.mode for record in emulator.sessions]
    assert ["Completed", "Completed"] == [job.status for job in emulator.jobs]


def test_a_batch_that_is_longer_than_the_plan_allows_lets_jobs_be_tried(make_runtime):
    """The Open plan has batches of ten minutes; the same mistake in a session is the user's."""
    _, runtime = make_runtime("open")
    with pytest.raises(SessionRefused) as refused:
        runtime.open_session(3600, Mode.BATCH, OURS)
    assert refused.value.by_plan

    _, runtime = make_runtime("premium")
    with pytest.raises(SessionRefused) as refused:
        runtime.open_session(10**6, Mode.SESSION, OURS)
    assert not refused.value.by_plan


@pytest.mark.parametrize(
    ("status", "kind"), [(503, ServiceUnavailable), (403, Unauthorized)], ids=["outage", "bad key"]
)
@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.BATCH])
def test_what_is_no_refusal_lets_nothing_else_be_tried(mode, status, kind, make_runtime):
    """An outage and a key without rights keep their names."""
    emulator, runtime = make_runtime()
    runtime.backend()
    emulator.faults.add(Fault("/sessions", Answer(status=status), method="POST"))
    with pytest.raises(kind) as failed:
        runtime.open_session(ENOUGH, mode, OURS)

    assert not isinstance(failed.value, SessionRefused)


@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.BATCH])
def test_what_another_process_opened_is_found_and_released(mode, make_runtime):
    """The reaper knows an id only; an id that nobody knows is none."""
    emulator, runtime = make_runtime()
    opened = runtime.open_session(ENOUGH, mode, OURS)
    service = connect(account(emulator))
    found = find_session(service, opened.session_id)
    found.cancel()

    assert (mode, opened.session_id) == (found.mode, found.session_id)
    assert ["cancel"] == [record.ended_by for record in emulator.sessions]
    assert find_session(service, str(uuid4())) is None


def test_a_cancel_in_job_mode_drops_only_the_queued_jobs_of_this_run(make_runtime):
    """The one that runs and those of another flow run are left alone; to repeat it is safe."""
    emulator, runtime = make_runtime(hand_clock=True, timing=TimingSettings(fixed_seconds=10.0))
    ours = runtime.open_session(ENOUGH, Mode.JOB, OURS)
    theirs = runtime.open_session(ENOUGH, Mode.JOB, THEIRS)
    submit(ours, OURS)
    submit(theirs, THEIRS)
    submit(ours, OURS)
    submit(ours, OURS)
    assert ["Running", "Queued", "Queued", "Queued"] == [job.status for job in emulator.jobs]

    ours.cancel()
    ours.cancel()
    assert ["Running", "Queued", "Cancelled", "Cancelled"] == [job.status for job in emulator.jobs]


def test_a_cancel_in_job_mode_goes_through_every_page(make_runtime, monkeypatch):
    """Also if there are more jobs than the service lists at once."""
    monkeypatch.setattr("prefect_qsession.ibm.workloads.PAGE", 2)
    emulator, runtime = make_runtime(hand_clock=True, timing=TimingSettings(fixed_seconds=10.0))
    ours = runtime.open_session(ENOUGH, Mode.JOB, OURS)
    for _ in range(6):
        submit(ours, OURS)
    ours.cancel()

    assert ["Running", *["Cancelled"] * 5] == [job.status for job in emulator.jobs]


def test_a_cancel_that_the_service_does_not_confirm_is_an_error(make_runtime):
    """So that whoever releases asks again."""
    emulator, runtime = make_runtime(hand_clock=True, timing=TimingSettings(fixed_seconds=10.0))
    ours = runtime.open_session(ENOUGH, Mode.JOB, OURS)
    for _ in range(2):
        submit(ours, OURS)
    # The client asks again by itself, where it is not kept from that.
    emulator.faults.add(Fault("/jobs/{id}/cancel", Answer(status=503)))
    with pytest.raises(ServiceUnavailable, match="cancel job"):
        ours.cancel()
    emulator.faults.clear()
    ours.cancel()

    assert ["Running", "Cancelled"] == [job.status for job in emulator.jobs]
