"""The list of workloads, and what a client may try for nothing."""

import re

import pytest
from qiskit_ibm_runtime import Batch, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError

from .conftest import legacy_sampler, one_bit


@pytest.fixture
def ask(bench):
    """Ask for workloads through the client's own adapter; nothing of it is in the service yet."""

    def workloads(**query):
        return bench.service._get_api_client()._api.workloads_get(**query)

    return workloads


def ids(answer) -> list[str]:
    """Return the workloads of an answer."""
    return [workload["id"] for workload in answer["workloads"]]


def test_workloads_are_sessions_batches_and_jobs_that_have_none(bench, ask):
    """Jobs of a session are part of it."""
    session = Session(backend=bench.backend)
    in_session = bench.submit(session)
    bench.clock.advance(1)
    batch = Batch(backend=bench.backend)
    bench.clock.advance(1)
    job = bench.submit()

    answer = ask()

    assert [session.session_id, batch.session_id, job.job_id()] == ids(answer)
    assert in_session.job_id() not in ids(answer)
    assert ["session", "batch", "job"] == [w["mode"] for w in answer["workloads"]]
    assert ["in_progress", "pending", "pending"] == [w["status"] for w in answer["workloads"]]
    assert [True, True, None] == [w.get("accepting_jobs") for w in answer["workloads"]]
    assert 3 == answer["total_count"]


def test_workloads_are_found_by_every_filter(bench, ask):
    """Each of the adapter's filters chooses."""
    session = Session(backend=bench.backend)
    bench.clock.advance(10)
    tagged = bench.submit(environment={"job_tags": ["vqe"]})
    bench.clock.advance(10)
    cancelled = bench.submit()
    cancelled.cancel()
    created = tagged.creation_date
    session_id, tagged_id, cancelled_id = session.session_id, tagged.job_id(), cancelled.job_id()

    assert [session_id] == ids(ask(mode="session"))
    assert [tagged_id] == ids(ask(tags=["vqe"]))
    assert [tagged_id] == ids(ask(search="vq"))
    assert [session_id] == ids(ask(search=session_id[:8]))
    assert [cancelled_id] == ids(ask(status=["canceled", "failed"]))
    assert [tagged_id] == ids(ask(status=["completed"]))
    assert [tagged_id, cancelled_id] == ids(ask(created_after=created))
    assert [session_id, tagged_id] == ids(ask(created_before=created))
    assert [] == ids(ask(backend="ibm_sherbrooke"))
    assert [] == ids(ask(user="somebody else"))


@pytest.mark.parametrize("sort", [None, "-createdAt"])
def test_workloads_come_in_pages_with_cursors_to_their_neighbours(bench, ask, sort):
    """Forwards and back, each is shown once, also if one is deleted on the way."""
    jobs = []
    for _ in range(5):
        jobs.append(bench.submit())
        bench.clock.advance(10)
    expected = [job.job_id() for job in (jobs[::-1] if sort else jobs)]

    first = ask(limit=2, sort=sort)
    bench.service.delete_job(expected[1])
    second = ask(limit=2, sort=sort, next=first["next"]["cursor"])
    third = ask(limit=2, sort=sort, next=second["next"]["cursor"])
    back = ask(limit=2, sort=sort, previous=third["previous"]["cursor"])

    assert [expected[:2], expected[2:4], expected[4:]] == [ids(first), ids(second), ids(third)]
    assert expected[2:4] == ids(back)
    assert ("previous" in first, "next" in third) == (False, False)
    assert re.search(r"[?&]next=", first["next"]["href"])


@pytest.mark.parametrize(
    "query", [{"limit": 51}, {"limit": 0}, {"sort": "name"}, {"status": ["odd"]}, {"next": "odd"}]
)
def test_a_list_of_workloads_that_makes_no_sense_is_refused(ask, query):
    """Fifty at a time, in the order of creation, from a cursor that was given out."""
    with pytest.raises(RequestsApiError, match="Request validation of query failed"):
        ask(**query)


# -- dry runs


def test_mock_devices_are_there_on_request_only(bench):
    """Each device has one, of the same make."""
    mocks = [backend for backend in bench.service.backends(include_mocks=True) if backend.is_mock]

    assert ["mock_sherbrooke", "mock_manila"] == [mock.name for mock in mocks]
    assert ["ibm_sherbrooke", "ibm_manila"] == [b.name for b in bench.service.backends()]
    assert [127, 5] == [mock.num_qubits for mock in mocks]
    assert mocks[1].target.operation_names == bench.backend.target.operation_names
    assert mocks[1].status().operational


@pytest.mark.parametrize("in_session", [False, True])
def test_a_dry_run_costs_nothing_and_keeps_nobody_waiting(bench, in_session):
    """It has a device of its own, a result, an estimate of its time, and no session."""
    busy = bench.submit()
    session = Session(backend=bench.backend) if in_session else None

    job = legacy_sampler(session or bench.backend).run([one_bit()], dry_run=True)
    bench.clock.advance(10)

    assert "mock_manila" == job.backend().name
    assert (["DONE", "DONE"], 0) == ([busy.status(), job.status()], job.usage())
    assert {"1": 4096} == job.result()[0].data.c.get_counts()
    record = bench.emulator.jobs[-1]
    assert (10.0, 0, None) == (record.qpu_seconds, record.charged_seconds, record.session_id)
    assert [None] * in_session == [session.started for session in bench.emulator.sessions]


def test_dry_runs_are_listed_on_request_only(bench):
    """Neither the jobs nor the usage of an instance show them."""
    job = legacy_sampler(bench.backend).run([one_bit()], dry_run=True)
    bench.clock.advance(10)

    assert [] == bench.service.jobs()
    assert [job.job_id()] == [j.job_id() for j in bench.service.jobs(include_mocks=True)]
    assert 0 == bench.service.usage()["usage_consumed_seconds"]
