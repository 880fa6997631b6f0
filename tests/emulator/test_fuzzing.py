"""Whatever users do, in whatever order and at whatever times, the rules hold."""

import itertools
import json
import math

import pytest
import requests
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from qiskit_ibm_runtime import RuntimeEncoder

from prefect_qsession.emulator import (
    Emulator,
    EmulatorSettings,
    FailJob,
    Fault,
    InstanceSettings,
    QueueSettings,
    TimingSettings,
)
from prefect_qsession.emulator.rules.states import (
    JOB_TRANSITIONS,
    SESSION_TRANSITIONS,
    JobState,
    SessionState,
)

from .conftest import one_bit

HOUR = 3600
# Around every limit that sessions, batches and jobs have.
TIMES = (*(0, 0.5, 1, 1.999, 2, 59.999, 60, 72) * 3, 599, 600, 1799.999, 1800, 8 * HOUR)
PREMIUM = InstanceSettings(usage_limit_seconds=900)
OPEN = InstanceSettings(crn="crn:v1:x:public:y:z:a/0:open::", plan="open", name="open")
JOB = json.dumps({"pubs": [[one_bit(), [], 1]], "version": 2}, cls=RuntimeEncoder)
LONG_JOB = json.dumps({"pubs": [[one_bit(), [], 200_000]], "version": 2}, cls=RuntimeEncoder)
PARAMS = (JOB, JOB, LONG_JOB, '{"pubs":[]}')


class Users(RuleBasedStateMachine):
    """Users of two instances share a device with other tenants; the record tells what became."""

    simulators = None

    def __init__(self) -> None:
        super().__init__()
        busy = QueueSettings(arrivals_per_hour=20, arrival_seconds=60, jobs_at_start=1)
        self.emulator = Emulator(
            EmulatorSettings(
                instances=(PREMIUM, OPEN),
                queue=busy,
                timing=TimingSettings(classical_seconds=1.5),
                execution_lanes=3,
                hand_clock=True,
            ),
            simulators=self.simulators,
        ).start()
        self.http = requests.Session()
        self.sessions: list[tuple[InstanceSettings, str]] = []
        self.jobs: list[tuple[InstanceSettings, str]] = []
        self.deleted = []

    def ask(self, instance, method, path, allowed=(200, 204, 400, 404, 409), **body):
        """Send a request; whatever is wrong with it, the service has an answer."""
        headers = {"Authorization": "apikey emulator-api-key", "Service-CRN": instance.crn}
        url = self.emulator.runtime_url + path
        answer = self.http.request(method, url, headers=headers, timeout=30, **body)

        assert answer.status_code in allowed, answer.text
        return answer

    # -- what users do

    @rule(
        instance=st.sampled_from([PREMIUM, OPEN]),
        mode=st.sampled_from(["dedicated", "batch"]),
        max_ttl=st.sampled_from([None, 60, 300]),
    )
    def open_a_session(self, instance, mode, max_ttl):
        body = {"mode": mode, "backend": "ibm_manila", "max_ttl": max_ttl}
        answer = self.ask(instance, "POST", "/sessions", json=body)
        if answer.status_code == 200:
            self.sessions.append((instance, answer.json()["id"]))

    @rule(
        data=st.data(),
        params=st.sampled_from(PARAMS),
        cost=st.sampled_from([None, None, None, 1, 50]),
        backend=st.sampled_from(["ibm_manila", "ibm_manila", "mock_manila"]),
    )
    def submit_a_job(self, data, params, cost, backend):
        places = [*self.sessions[::-1], (PREMIUM, None), (OPEN, None)]
        instance, session_id = data.draw(st.sampled_from(places))
        head = {"program_id": "sampler", "backend": backend, "session_id": session_id, "cost": cost}
        body = json.dumps(head)[:-1] + f', "params": {params}}}'
        answer = self.ask(instance, "POST", "/jobs", data=body)
        if answer.status_code == 200:
            self.jobs.append((instance, answer.json()["id"]))

    @rule(code=st.sampled_from([1305, 1517, 9707]), at_once=st.booleans())
    def have_a_job_fail(self, code, at_once):
        self.emulator.faults.add(Fault("/jobs", FailJob(code, at_once=at_once), count=1))

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), accepting=st.booleans())
    def close_a_session_or_take_it_back(self, data, accepting):
        instance, session_id = data.draw(st.sampled_from(self.sessions))
        body = {"accepting_jobs": accepting}
        self.ask(instance, "PATCH", f"/sessions/{session_id}", allowed=[204], json=body)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def cancel_a_session(self, data):
        instance, session_id = data.draw(st.sampled_from(self.sessions))
        self.ask(instance, "DELETE", f"/sessions/{session_id}/close", allowed=[204])

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel_a_job(self, data):
        instance, job_id = data.draw(st.sampled_from(self.jobs))
        self.ask(instance, "POST", f"/jobs/{job_id}/cancel", allowed=[204, 409])

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def delete_a_job(self, data):
        instance, job_id = where = data.draw(st.sampled_from(self.jobs))
        [record] = [job for job in self.emulator.jobs if job.id == job_id]
        answer = self.ask(instance, "DELETE", f"/jobs/{job_id}", allowed=[204, 409])
        if answer.status_code == 204:
            self.jobs.remove(where)
            self.deleted.append(record)

    @rule(seconds=st.sampled_from(TIMES))
    def wait(self, seconds):
        self.emulator.clock.advance(seconds)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def look(self, data):
        instance, job_id = data.draw(st.sampled_from(self.jobs))
        for path in ("", "/results", "/metrics", "/logs"):
            self.ask(instance, "GET", f"/jobs/{job_id}{path}", allowed=[200, 204])
        self.ask(instance, "GET", "/workloads?limit=50", allowed=[200])

    # -- what must be so in the end

    def teardown(self) -> None:
        """Let a day pass, in which all ends that must, and judge by the record."""
        try:
            check_usage(self)
            self.emulator.clock.advance(24 * HOUR)
            jobs = [*self.emulator.jobs, *self.deleted]
            assert {"closed"} >= {session.state for session in self.emulator.sessions}
            assert {"Completed", "Failed", "Cancelled"} >= {job.status for job in jobs}
            check_transitions(self.emulator.sessions, jobs)
            check_qpu(self.emulator.sessions, jobs)
            check_usage(self)
        finally:
            self.http.close()
            self.emulator.stop()


def check_transitions(sessions, jobs):
    """Nothing changed state but as the tables say, and no time ran backwards."""
    legal = {(str(before), str(after)) for (before, _), after in SESSION_TRANSITIONS.items()}
    legal |= {(str(before), str(after)) for (before, _), after in JOB_TRANSITIONS.items()}
    for record in (*sessions, *jobs):
        assert str(record.transitions[0].state) in {SessionState.OPEN, JobState.QUEUED}
        for before, after in itertools.pairwise(record.transitions):
            assert (before.state, after.state) in legal
            assert before.at <= after.at


def check_qpu(sessions, jobs):
    """A QPU has one job at a time, three run, and while a session is active none but its own."""
    ran = [job for job in jobs if job.started is not None and job.backend == "ibm_manila"]
    on_qpu = sorted(
        (job for job in ran if job.qpu_started is not None),
        key=lambda job: (job.qpu_started, job.finished),
    )
    for earlier, later in itertools.pairwise(on_qpu):
        assert earlier.finished <= later.qpu_started
    for job in ran:
        assert 3 >= sum(other.started <= job.started < other.finished for other in ran)
    for session in sessions:
        if session.mode == "dedicated":
            for began, ended in active_intervals(session):
                within = [job for job in ran if began < job.started < ended]
                assert {session.id} >= {job.session_id for job in within}


def active_intervals(session) -> list[tuple[float, float]]:
    """Return from when to when a session was active."""
    ends = [*session.transitions[1:], None]
    return [
        (entered.at, math.inf if left is None else left.at)
        for entered, left in zip(session.transitions, ends, strict=True)
        if entered.state == "active"
    ]


def check_usage(users):
    """A session pays its active time and what runs on after it, all else its jobs' QPU time."""
    now = users.emulator.clock.now()
    jobs = [*users.emulator.jobs, *users.deleted]
    billed = {PREMIUM.crn: 0.0, OPEN.crn: 0.0}
    windows = set()
    for session in users.emulator.sessions:
        own = [job for job in jobs if job.session_id == session.id]
        if session.mode == "dedicated":
            windows.add(session.id)
            seconds = 0.0
            for began, left in active_intervals(session):
                ends = [job.finished or now for job in own if began <= (job.started or 0) <= left]
                seconds += max([min(left, now), *ends]) - began
            assert session.usage_seconds == pytest.approx(seconds, abs=1e-3)
            billed[session.instance] += seconds
        else:
            assert session.usage_seconds == sum(job.charged_seconds or 0 for job in own)
    for job in jobs:
        if job.session_id not in windows:
            billed[job.instance] += job.charged_seconds or 0
        if job.status == "Completed" and job.backend == "ibm_manila":
            assert job.charged_seconds == math.ceil(round(job.qpu_seconds, 6))
    for instance in (PREMIUM, OPEN):
        usage = users.ask(instance, "GET", "/instances/usage", allowed=[200]).json()
        assert usage["usage_consumed_seconds"] == pytest.approx(billed[instance.crn], abs=1.001)


@pytest.mark.deep
def test_whatever_users_do_the_rules_hold(simulators):
    """Sessions, batches, jobs, refusals, failures and time, in random order."""
    Users.simulators = simulators
    run_state_machine_as_test(Users)
