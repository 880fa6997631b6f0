"""Faults on demand: what an unmodified client, or one that leaves, makes of each."""

import http.client
import json
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest
import requests
from qiskit_ibm_runtime import Session
from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMNotAuthorizedError, IBMRuntimeError

from prefect_qsession.emulator import (
    Answer,
    Delay,
    Drop,
    Emulator,
    Fault,
    HandClock,
    Stall,
    TimingSettings,
)
from prefect_qsession.emulator.faults.registry import Faults
from tests.harness.waiting import wait_until

from .conftest import HEADERS

SESSION = {"mode": "dedicated", "backend": "ibm_manila"}
MILLISECOND = 0.001


def ask(emulator: Emulator, path="/backends", method="GET", headers=HEADERS, **body):
    """Send one request of the Runtime API, without any retry."""
    url = emulator.runtime_url + path
    return requests.request(method, url, headers=headers, timeout=30, **body)


@pytest.fixture
def in_thread():
    """Run a call beside the test."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


# -- what happens to a request


def test_an_answer_has_ibms_form_and_does_no_work(emulator):
    """The status, code and Retry-After are those of the fault; nothing is created."""
    fault = Fault("/sessions", Answer(503, code=1999, retry_after_seconds=7))
    standing = emulator.faults.add(fault)

    answer = ask(emulator, "/sessions", "POST", json=SESSION)

    assert (503, "7") == (answer.status_code, answer.headers["Retry-After"])
    assert {"errors", "trace"} == set(answer.json())
    assert '"code":1999' in answer.text
    assert ([], 1) == (emulator.sessions, standing.struck)


def test_an_answer_has_no_retry_after_unless_it_is_asked_for(emulator):
    """A client that obeys the header must also be tried without it."""
    emulator.faults.add(Fault("*", Answer(429)))

    assert "Retry-After" not in ask(emulator).headers


def test_the_client_tries_a_creation_again_that_was_answered_503(emulator, service):
    """A POST is repeated on 503, and one session comes of it."""
    standing = emulator.faults.add(Fault("/sessions", Answer(503), method="POST", count=1))

    session = Session(backend=service.backend("ibm_manila"))

    assert [session.session_id] == [record.id for record in emulator.sessions]
    assert 1 == standing.struck


def test_a_502_after_the_work_makes_two_sessions_of_one(emulator, service):
    """The client repeats the POST, as it does on 502, and knows the second session only."""
    emulator.faults.add(Fault("/sessions", Answer(502, after_work=True), method="POST", count=1))

    session = Session(backend=service.backend("ibm_manila"))
    session.cancel()

    [unknown, known] = emulator.sessions
    assert session.session_id == known.id
    assert ("open", "closed") == (unknown.state, known.state)


def test_a_429_is_tried_again_on_a_read_and_not_on_a_creation(emulator, service):
    """With a Retry-After the client repeats a GET; a POST is refused at once."""
    backend = service.backend("ibm_manila")
    answer = Answer(429, retry_after_seconds=0)
    read = emulator.faults.add(Fault("/backends/{name}/status", answer, count=1))
    emulator.faults.add(Fault("/sessions", answer, method="POST", count=1))

    assert backend.status().operational
    with pytest.raises(RequestsApiError, match="429"):
        Session(backend=backend)

    assert ([], 1) == (emulator.sessions, read.struck)


def test_the_client_cancels_again_after_a_5xx_and_closes_but_once(emulator, service):
    """DELETE is repeated; PATCH is not, and its session stays as it is."""
    backend = service.backend("ibm_manila")
    cancelled, closed = Session(backend=backend), Session(backend=backend)
    delete = emulator.faults.add(Fault("/sessions/{id}/close", Answer(500), count=1))
    emulator.faults.add(Fault("/sessions/{id}", Answer(500), method="PATCH", count=1))

    cancelled.cancel()
    with pytest.raises(IBMRuntimeError, match="Error closing session"):
        closed.close()

    assert ["cancel", None] == [record.ended_by for record in emulator.sessions]
    assert 1 == delete.struck


@pytest.mark.parametrize("effect", [Drop(), Drop(after_work=True), Answer(502)])
def test_the_client_asks_again_when_a_question_fails(emulator, service, effect):
    """A GET whose connection is cut, or that is answered 502, is repeated."""
    backend = service.backend("ibm_manila")
    standing = emulator.faults.add(Fault("/backends/{name}/status", effect, count=1))

    assert backend.status().operational
    assert 1 == standing.struck


def test_a_creation_that_is_dropped_creates_nothing(emulator, service, caplog):
    """A POST whose connection is cut before the work is not repeated, and had no effect."""
    backend = service.backend("ibm_manila")
    emulator.faults.add(Fault("/sessions", Drop()))

    with pytest.raises(RequestsApiError, match="Connection aborted"):
        Session(backend=backend)

    assert ([], []) == (emulator.sessions, caplog.messages)


def test_a_lost_reply_leaves_an_orphaned_job(bench):
    """A submission whose reply is lost fails at the client, and its job runs all the same."""
    bench.emulator.faults.add(Fault("/jobs", Drop(after_work=True), method="POST"))

    with pytest.raises(IBMRuntimeError, match="Failed to run program"):
        bench.submit()
    bench.clock.advance(10)

    assert ["Completed"] == bench.statuses()


@pytest.mark.parametrize(("after_work", "created"), [(False, 30.0), (True, 0.0)])
def test_a_delay_ends_at_its_second_sharp(bench, in_thread, after_work, created):
    """Either the work waits, or its reply does; both by the service's clock."""
    start = bench.clock.now()
    effect = Delay(30, after_work=after_work)
    standing = bench.emulator.faults.add(Fault("/sessions", effect))
    reply: Future = in_thread(ask, bench.emulator, "/sessions", "POST", json=SESSION)
    wait_until(lambda: (standing.struck, len(bench.emulator.sessions)) == (1, int(after_work)))

    bench.clock.advance(30 - MILLISECOND)
    early = reply.done()
    bench.clock.advance(MILLISECOND)

    assert (False, 200) == (early, reply.result(20).status_code)
    assert [created] == [session.created - start for session in bench.emulator.sessions]


def test_a_delay_passes_as_fast_as_the_clock(make_emulator):
    """On a clock at a thousand times the speed, a minute is 60 ms."""
    emulator = make_emulator(time_scale=1000.0)
    emulator.faults.add(Fault("*", Delay(60)))
    begun = time.perf_counter()

    assert 200 == ask(emulator).status_code
    assert 0.06 <= time.perf_counter() - begun < 10


def test_a_delayed_request_has_its_effect_though_its_client_has_left(bench):
    """A creation that is on its way when its client dies makes a session that nobody knows."""
    standing = bench.emulator.faults.add(Fault("/sessions", Delay(30), method="POST"))
    host, port = bench.emulator.url.removeprefix("http://").split(":")
    body = json.dumps(SESSION)
    lines = ["POST /experimental/api/v1/sessions HTTP/1.1", "Host: emulator"]
    headers = HEADERS | {"Content-Length": str(len(body))}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    connections = bench.emulator._server.server_state.connections
    others = len(connections)
    with socket.create_connection((host, int(port))) as client:
        client.sendall("\r\n".join([*lines, "", body]).encode())
        wait_until(lambda: standing.struck == 1)
    wait_until(lambda: len(connections) <= others)

    bench.clock.advance(30)
    wait_until(lambda: bench.emulator.sessions != [])

    assert ["open"] == [session.state for session in bench.emulator.sessions]


def stalled(emulator: Emulator, connection: http.client.HTTPConnection):
    """Ask for a reply that stalls; return it and the half of its body that comes."""
    connection.request("GET", "/experimental/api/v1/backends", headers=HEADERS)
    reply = connection.getresponse()
    size = int(reply.headers["Content-Length"])
    return reply, reply.read(size // 2)


def test_a_stalled_reply_begins_and_ends_when_its_time_is_up(bench, in_thread):
    """Status, headers and half of the body come; the rest at the second it should."""
    standing = bench.emulator.faults.add(Fault("/backends", Stall(30)))
    host, port = bench.emulator.url.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        reply, half = stalled(bench.emulator, connection)
        rest: Future = in_thread(reply.read)
        bench.clock.advance(30 - MILLISECOND)
        early = rest.done()
        bench.clock.advance(MILLISECOND)
        devices = json.loads(half + rest.result(20))["devices"]

    assert (200, False) == (reply.status, early)
    assert ["ibm_sherbrooke", "ibm_manila"] == [device["name"] for device in devices]
    assert 1 == standing.struck


def test_a_stalled_reply_without_a_body_does_not_begin(bench, in_thread):
    """There is no half of nothing: the work is done, and the reply comes late."""
    session = Session(backend=bench.backend)
    standing = bench.emulator.faults.add(Fault("/sessions/{id}/close", Stall(30)))
    cancelling: Future = in_thread(session.cancel)
    wait_until(lambda: bench.session_record().state == "closed")
    early = cancelling.done()
    bench.clock.advance(30)
    cancelling.result(20)

    assert (False, 1) == (early, standing.struck)


def test_clearing_lets_go_what_is_held_back(emulator):
    """A reply that would stall for ever ends when the faults are cleared; they strike no more."""
    emulator.faults.add(Fault("*", Stall()))
    host, port = emulator.url.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        reply, half = stalled(emulator, connection)
        emulator.faults.clear()
        devices = json.loads(half + reply.read())["devices"]

    assert 2 == len(devices)
    assert ((), 200) == (emulator.faults.standing, ask(emulator).status_code)


@pytest.mark.parametrize("effect", [Stall(), Delay(1e6), Delay(1e6, after_work=True)])
@pytest.mark.parametrize("hand_clock", [True, False])
def test_stopping_cuts_what_is_held_back(make_emulator, in_thread, caplog, effect, hand_clock):
    """An emulator stops at once while a reply is held back, and its client sees the end."""
    emulator = make_emulator(hand_clock=hand_clock)
    standing = emulator.faults.add(Fault("*", effect))
    reply: Future = in_thread(ask, emulator)
    wait_until(lambda: standing.struck == 1)
    emulator.stop()

    # The server says so when it gives up waiting for a reply, after a second.
    assert [] == caplog.messages
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        reply.result(20)


def test_without_iam_no_client_gets_in(emulator, connect):
    """IAM is a route like others: while it drops its connections, there is no service."""
    standing = emulator.faults.add(Fault("/identity/token", Drop()))

    with pytest.raises(InvalidAccountError, match="Unable to retrieve instances"):
        connect(emulator)

    assert standing.struck > 0


def test_a_client_that_cannot_renew_its_token_shows_its_key(make_emulator, connect):
    """With IAM down the client's next request carries the API key, which the service takes."""
    emulator = make_emulator(token_lifetime_seconds=10)
    service = connect(emulator)
    standing = emulator.faults.add(Fault("/identity/token", Answer(503)))

    with pytest.warns(UserWarning, match="API Key will be used instead"):
        usage = service.usage()

    assert (0, 1) == (usage["usage_consumed_seconds"], standing.struck)


# -- tokens that expire


def test_a_short_lived_token_is_renewed_for_every_request(make_emulator, connect):
    """The client takes a token for expired ten seconds before it is."""
    emulator = make_emulator(token_lifetime_seconds=10)
    backend = connect(emulator).backend("ibm_manila")
    renewals = emulator.faults.add(Fault("/identity/token", Delay(0)))
    for _ in range(3):
        backend.status()

    assert 3 == renewals.struck


def test_an_expired_token_is_refused(make_emulator):
    """A token that lives for no time at all is answered 401, code 1201."""
    emulator = make_emulator(token_lifetime_seconds=0)
    form = {
        "grant_type": "urn:ibm:params:oauth:grant-type:apikey",
        "apikey": "emulator-api-key",
    }
    token = requests.post(f"{emulator.url}/identity/token", data=form, timeout=5).json()
    bearer = HEADERS | {"Authorization": f"Bearer {token['access_token']}"}

    answer = ask(emulator, headers=bearer)

    assert (401, 1201) == (answer.status_code, answer.json()["errors"][0]["code"])


def test_a_token_that_is_revoked_meanwhile_is_not_renewed_by_the_client(emulator, service):
    """On 401 the client gives up; it neither renews its token nor tries again."""
    backend = service.backend("ibm_manila")
    renewals = emulator.faults.add(Fault("/identity/token", Delay(0)))
    refusals = emulator.faults.add(Fault("/sessions", Answer(401, code=1201)))

    with pytest.raises(IBMNotAuthorizedError):
        Session(backend=backend)

    assert (0, 1) == (renewals.struck, refusals.struck)


# -- which requests, and when

RUNTIME = "/experimental/api/v1"


@pytest.mark.parametrize(
    ("route", "path", "is_for"),
    [
        ("*", "/", True),
        ("*", f"{RUNTIME}/jobs/x/cancel", True),
        ("/*", "/identity/token", True),
        ("/", "/", True),
        ("/", "/jobs", False),
        ("/identity/token", "/identity/token", True),
        ("/identity/token", f"{RUNTIME}/identity/token", True),
        ("/sessions", f"{RUNTIME}/sessions", True),
        ("/sessions", f"{RUNTIME}/sessions/x", False),
        ("/sessions", "/sessions", True),
        (f"{RUNTIME}/sessions", f"{RUNTIME}/sessions", True),
        (f"{RUNTIME}/sessions", "/sessions", False),
        ("/sessions/{id}", f"{RUNTIME}/sessions/x", True),
        ("/sessions/{}", f"{RUNTIME}/sessions/x", True),
        ("/sessions/{id}", f"{RUNTIME}/sessions", False),
        ("/sessions/{id}", f"{RUNTIME}/sessions/x/close", False),
        ("/sessions/{id}/close", f"{RUNTIME}/sessions/x/close", True),
        ("/sessions/{id}/close", f"{RUNTIME}/sessions/x/y", False),
        ("/jobs/*", f"{RUNTIME}/jobs", True),
        ("/jobs/*", f"{RUNTIME}/jobs/x", True),
        ("/jobs/*", f"{RUNTIME}/jobs/x/results", True),
        ("/jobs/*", f"{RUNTIME}/jobsx", False),
        ("/jobs/*", f"{RUNTIME}/sessions", False),
        (f"{RUNTIME}/*", f"{RUNTIME}/sessions", True),
        (f"{RUNTIME}/*", "/identity/token", False),
        ("/{any}", RUNTIME, False),
    ],
)
def test_a_route_says_which_requests_a_fault_is_for(route, path, is_for):
    """Braces are one segment, a last star is the rest, the Runtime API's prefix may be left out."""
    assert is_for == Fault(route, Drop()).concerns("GET", path)


@pytest.mark.parametrize(("method", "is_for"), [(None, True), ("GET", True), ("POST", False)])
def test_a_fault_may_be_for_one_method_only(method, is_for):
    """Without a method it is for all."""
    assert is_for == Fault("*", Drop(), method=method).concerns("GET", "/")


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (0, 200),
        (10 - MILLISECOND, 200),
        (10, 503),
        (40 - MILLISECOND, 503),
        (40, 200),
        (1000, 200),
    ],
)
def test_an_outage_begins_and_ends_at_its_second_sharp(bench, seconds, status):
    """A fault strikes from the first instant of its time up to, and not including, the last."""
    bench.emulator.faults.add(Fault("*", Answer(503), after_seconds=10, until_seconds=40))
    bench.clock.advance(seconds)

    assert status == ask(bench.emulator).status_code


def test_a_fault_counts_its_strikes_and_ends_with_the_last(emulator):
    """After its count a fault strikes no more; a request that it is not for does not count."""
    standing = emulator.faults.add(Fault("/backends", Answer(500), count=2))
    ask(emulator, "/jobs")

    assert [500, 500, 200, 200] == [ask(emulator).status_code for _ in range(4)]
    assert 2 == standing.struck


def test_the_fault_added_first_strikes_alone(emulator):
    """The next one has its turn when the first is over."""
    first = emulator.faults.add(Fault("*", Answer(500), count=1))
    second = emulator.faults.add(Fault("/backends", Answer(503), count=1))

    assert [500, 503, 200] == [ask(emulator).status_code for _ in range(3)]
    assert (1, 1) == (first.struck, second.struck)


def draws(seed: int, *, besides: tuple[Fault, ...] = ()) -> list[bool]:
    """Tell which of a hundred requests are struck by a fault of probability 0.3."""
    faults = Faults(HandClock(), seed)
    standing = faults.add(Fault("/jobs", Drop(), probability=0.3))
    for fault in besides:
        faults.add(fault)
    struck = []
    for _ in range(100):
        before = standing.struck
        for path in ("/jobs", "/sessions"):
            with faults.striking("GET", path):
                pass
        struck.append(standing.struck > before)
    return struck


def test_chance_is_the_same_for_the_same_seed():
    """Another seed draws otherwise; other faults and other requests change nothing."""
    assert draws(1) == draws(1, besides=(Fault("*", Drop(), probability=0.5),))
    assert draws(1) != draws(2)
    assert 15 < sum(draws(1)) < 45


def test_an_emulator_draws_by_its_seed(make_emulator):
    """Two emulators of one seed fail the same requests."""

    def statuses() -> list[int]:
        emulator = make_emulator(seed=7)
        emulator.faults.add(Fault("*", Answer(500), probability=0.5))
        return [ask(emulator).status_code for _ in range(20)]

    first = statuses()

    assert first == statuses()
    assert {200, 500} == set(first)


@pytest.mark.parametrize(("probability", "struck"), [(0.0, 0), (1.0, 100)])
def test_the_ends_of_chance_are_certain(probability, struck):
    """Probability zero never strikes, and one always."""
    faults = Faults(HandClock(), seed=0)
    standing = faults.add(Fault("*", Drop(), probability=probability))
    for _ in range(100):
        with faults.striking("GET", "/backends"):
            pass

    assert struck == standing.struck


def test_a_count_is_exact_among_threads():
    """Of requests that come at once, no more are struck than the fault counts."""
    faults = Faults(HandClock(), seed=0)
    standing = faults.add(Fault("*", Drop(), count=500))

    def request(_: int) -> bool:
        with faults.striking("GET", "/backends") as strike:
            return strike is not None

    with ThreadPoolExecutor(8) as threads:
        struck = sum(threads.map(request, range(2000)))

    assert 500 == struck == standing.struck


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault("jobs", Drop()),
        lambda: Fault("/jobs/", Drop()),
        lambda: Fault("/jobs?limit=1", Drop()),
        lambda: Fault("/*/jobs", Drop()),
        lambda: Fault("/jobs/{id", Drop()),
        lambda: Fault("*", Drop(), method="get"),
        lambda: Fault("*", Drop(), count=0),
        lambda: Fault("*", Drop(), probability=1.1),
        lambda: Fault("*", Drop(), after_seconds=-1),
        lambda: Fault("*", Drop(), until_seconds=float("nan")),
        lambda: Answer(200),
        lambda: Answer("503"),
        lambda: Answer(503, retry_after_seconds=-1),
        lambda: Delay(-1),
        lambda: Stall(float("inf")),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(make):
    """What could never strike, or not as it says, is an error at once."""
    with pytest.raises(ValueError, match="validation error"):
        make()


# -- from outside


def test_faults_are_set_from_outside(emulator):
    """The control routes add, list and clear what Python does, and are never struck themselves."""
    url = f"{emulator.url}/emulator/faults"
    fault = {"route": "*", "effect": {"kind": "answer", "status": 503}, "method": "GET"}

    added = requests.post(url, json=fault, timeout=5)
    statuses = [ask(emulator).status_code for _ in range(2)]
    [listed] = requests.get(url, timeout=5).json()["faults"]
    cleared = requests.delete(url, timeout=5).status_code

    assert (200, 0, [503, 503], 2, 204) == (
        added.status_code,
        added.json()["struck"],
        statuses,
        listed["struck"],
        cleared,
    )
    assert fault["effect"].items() <= listed["effect"].items()
    assert {"faults": []} == requests.get(url, timeout=5).json()
    assert 200 == ask(emulator).status_code


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"route": "*"},
        {"route": "*", "effect": "drop"},
        {"route": "*", "effect": {"kind": "explode"}},
        {"route": "*", "effect": {"status": 503}},
        {"route": "*", "effect": {"kind": "answer", "status": "503"}},
        {"route": "*", "effect": {"kind": "drop", "seconds": 1}},
        {"route": "*", "effect": {"kind": "drop"}, "probability": "0.5"},
        {"route": "*", "effect": {"kind": "drop"}, "until": 5},
    ],
)
def test_a_fault_from_outside_is_checked(emulator, body):
    """What is not a fault is refused with code 1208, and none is added."""
    answer = requests.post(f"{emulator.url}/emulator/faults", json=body, timeout=5)

    assert (400, 1208) == (answer.status_code, answer.json()["errors"][0]["code"])
    assert () == emulator.faults.standing


def test_without_control_faults_are_set_from_python_only(make_emulator):
    """The routes go with the others, and the faults still strike."""
    emulator = make_emulator(control=False, timing=TimingSettings.instant())
    emulator.faults.add(Fault("/backends", Answer(503)))
    url = f"{emulator.url}/emulator/faults"

    assert [404, 404, 404] == [
        requests.request(method, url, json={}, timeout=5).status_code
        for method in ("GET", "POST", "DELETE")
    ]
    assert 503 == ask(emulator).status_code
