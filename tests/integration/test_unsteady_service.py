"""
A session flow on a service that fails once or twice, in every way and place: each request is one
job, by the service's own record, and its result arrives.
"""

import pytest

from prefect_qsession import session_flow
from prefect_qsession.emulator import Answer, Drop, Fault, Stall
from tests.integration.conftest import one

FAILURES = {
    "a 502 after the work": Answer(502, after_work=True),
    "a 502 before the work": Answer(502),
    "a lost reply": Drop(after_work=True),
    "a lost request": Drop(),
    "half a reply": Stall(1.0),
    "a 429": Answer(429),
    "a 429 with Retry-After": Answer(429, retry_after_seconds=1),
    "a 401": Answer(401, code=1201),
    "a 523, which the client by itself does not repeat": Answer(523),
}
"""What the client by itself makes two jobs of, or none, or gives up on."""

SUBMISSION = ("POST", "/jobs")
OTHERS = {
    "the question how the job stands": ("GET", "/jobs/{id}"),
    "its result": ("GET", "/jobs/{id}/results"),
    "the question before it": ("GET", "/instances/usage"),
    "the opening": ("POST", "/sessions"),
    "the close": ("PATCH", "/sessions/{id}"),
}

ROWS = {f"{name} to the submission": (effect, SUBMISSION) for name, effect in FAILURES.items()} | {
    f"{name} to {whom}": (FAILURES[name], route)
    for whom, route in OTHERS.items()
    for name in ("a 502 after the work", "a lost reply", "a 429")
}


@pytest.mark.parametrize(("effect", "route"), ROWS.values(), ids=list(ROWS))
def test_each_request_is_one_job_whatever_fails_once(block, emulator, effect, route):
    """Two jobs for two equal requests, in one session that is closed; another one has no job."""
    method, path = route
    trouble = emulator.faults.add(Fault(path, effect, method=method, count=1))

    @session_flow(block, backend="ibm_manila")
    def runs() -> list[int]:
        return [one(), one()]

    assert [1, 1] == runs()
    assert 1 == trouble.struck
    assert ["Completed"] * 2 == [job.status for job in emulator.jobs]
    assert ["close"] == [session.ended_by for session in emulator.sessions if session.job_ids]


def test_a_dead_identity_service_holds_up_no_request(block, emulator, caplog):
    """The client by itself waits for a minute in each; here the key goes in the token's place."""

    @session_flow(block, backend="ibm_manila")
    def runs() -> list[int]:
        before = one(10)
        emulator.faults.add(Fault("/identity/token", Drop()))
        # What the client has of tokens is refused, so that each request would need another.
        emulator.faults.add(Fault("/jobs", Answer(401), method="POST", count=1))
        return [before, one(20), one(30)]

    assert [1, 1, 1] == runs()
    assert 3 == len(emulator.jobs)
    assert "gave no token" in caplog.text
