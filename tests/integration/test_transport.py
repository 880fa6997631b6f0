"""The real client over our transport, against a service and a network that fail."""

import copy
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import requests
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService, Session
from qiskit_ibm_runtime.exceptions import IBMRuntimeError
from qiskit_ibm_runtime.executor_sampler import Sampler
from requests import PreparedRequest

from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.config.modes import Mode
from prefect_qsession.emulator import Answer, Delay, Drop, Emulator, Fault, InstanceSettings, Stall
from prefect_qsession.exceptions import (
    ServiceError,
    ServiceUnavailable,
    SessionLost,
    SessionRefused,
    Unauthorized,
)
from prefect_qsession.ibm import internals
from prefect_qsession.ibm.access import service_access
from prefect_qsession.ibm.charges import charges, run_charges
from prefect_qsession.ibm.errors import refused_as_session_refused, translated
from prefect_qsession.ibm.identity import TokenAuth
from prefect_qsession.ibm.jobs import PAGE
from prefect_qsession.ibm.preflight import FRESH_SECONDS
from prefect_qsession.ibm.primitives import ClientPrimitive
from prefect_qsession.ibm.retry_policy import RetryPolicy
from prefect_qsession.ibm.service import Runtime, connect
from prefect_qsession.ibm.transport import RetryingAdapter, install
from prefect_qsession.ibm.workloads import TimedWorkload
from tests.harness.waiting import wait_until
from tests.integration.conftest import flipped_qubit

pytestmark = pytest.mark.skipif(internals.are_hidden, reason="requests go the client's way")

EVERYTHING = "/experimental/api/v1/*"
TRANSIENT = (500, 502, 503, 504, 520, 521, 522, 523, 524)


class HandTime:
    """A clock that moves only by the pauses that are made, and those pauses."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Line:
    """The client of an emulator, over our transport with a short patience and time by hand."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.account = QiskitRuntimeCredentials.from_environment(emulator.environment()).account()
        self.service: QiskitRuntimeService = connect(self.account)
        self.access = service_access(self.service, self.account)
        self.time = HandTime()
        # In real seconds: short, but longer than a busy machine takes to answer.
        self.retry_policy = RetryPolicy(
            connect_seconds=2, read_seconds=1.5, submit_seconds=1.5, token_seconds=1.5
        )
        install(
            self.service,
            self.access,
            self.retry_policy,
            clock=self.time.clock,
            wait=self.time.wait,
        )
        self.backend: IBMBackend = self.service.backend("ibm_manila")

    def auth(self) -> TokenAuth:
        """Return another handler that has no token yet."""
        return TokenAuth(
            self.access, self.retry_policy, clock=self.time.clock, aside=lambda renew: renew()
        )

    def ask(self) -> bool:
        """Send the simplest of questions."""
        with translated("read the backend"):
            return bool(self.backend.status().operational)

    def open(self) -> TimedWorkload:
        """Open a session, as `Runtime` does."""
        with translated("open a session"):
            return TimedWorkload(Session(backend=self.backend))

    def submit(self, session: TimedWorkload, tags: tuple[str, ...] = ()):
        """Submit a job by the client's own primitive."""
        sampler = Sampler(session.client_mode)
        sampler.options.environment.job_tags = list(tags)
        with translated("submit a job", session.session_id):
            return sampler.run([flipped_qubit(5)], shots=1)

    def break_down(self, route, effect, **options):
        """Have requests of this route fail."""
        return self.emulator.faults.add(Fault(route, effect, **options))

    def count(self, route, **options):
        """Count the requests of this route, and leave them as they are."""
        return self.break_down(route, Delay(0), **options)


@pytest.fixture
def line(emulator) -> Line:
    """Return a client of the default emulator."""
    return Line(emulator)


def signed(auth: TokenAuth) -> str:
    """Return what a request is signed with."""
    request = PreparedRequest()
    request.prepare("GET", "http://127.0.0.1/", auth=auth)
    assert request.headers["Service-CRN"]
    return request.headers["Authorization"]


# -- what goes by it


def test_every_request_of_a_service_goes_by_our_adapter(emulator, line):
    """`connect` puts it there: the client itself would repeat this POST, and so would a copy."""
    service = connect(line.account)
    backend = service.backend("ibm_manila")
    broken = line.break_down("/sessions", Answer(503), method="POST")

    for each in (backend, copy.deepcopy(backend)):
        with pytest.raises(ServiceUnavailable), translated("open a session"):
            Session(backend=each)
    clients = [*service._api_clients.values(), backend._api_client]

    assert 2 == broken.struck
    assert all(
        isinstance(adapter, RetryingAdapter)
        for client in clients
        for adapter in client._session.adapters.values()
    )


def test_a_connection_is_made_over_an_unsteady_line(emulator, line):
    """The identity service, the search and the service itself fail once or twice each."""
    pauses: list[float] = []
    for route in ("/identity/token", "/v3/resources/search", "/backends"):
        line.break_down(route, Answer(503), count=1)
        line.break_down(route, Drop(), count=1)

    service = connect(line.account, wait=pauses.append)

    assert ["ibm_manila"] == [backend.name for backend in service.backends("ibm_manila")]
    assert len(pauses) == 4


def test_a_backend_is_not_called_unknown_because_the_service_is_out(line):
    """The client has an empty list for both; what is the matter keeps its name."""
    # Not 503, which would be waited out.
    # By 0.50 a backend that is in no list is asked for by its name.
    for route in ("/backends", "/backends/*", "/instances/usage"):
        line.break_down(route, Answer(501, code=1999))
    runtime = Runtime(line.account, "ibm_manila")

    with pytest.raises(ServiceError, match="code 1999"):
        runtime.backend()


def test_what_jobs_were_charged_is_read_with_one_request(line):
    """However many they are: the client's public way asks for each."""
    session = line.open()
    jobs = [line.submit(session, ("of-this-run",)) for _ in range(3)]
    for job in jobs:
        job.wait_for_final_state()
    lists, singles = line.count("/jobs", method="GET"), line.count("/jobs/{id}")

    charged = charges(line.service, [job.job_id() for job in jobs], "of-this-run")

    assert {job.id: job.charged_seconds for job in line.emulator.jobs} == charged
    assert (1, 0) == (lists.struck, singles.struck)


def test_the_charges_of_a_whole_run_are_read_until_nothing_is_new(line):
    """By pages, the latest first; on to those that were not settled last time."""
    line.emulator.set_device_status("ibm_manila", "paused")
    body = {"program_id": "sampler", "backend": "ibm_manila", "params": {}, "tags": ["of-this-run"]}
    headers = {"Authorization": "apikey emulator-api-key", "Service-CRN": InstanceSettings().crn}
    with requests.Session() as client:
        for _ in range(PAGE + 1):
            client.post(f"{line.emulator.runtime_url}/jobs", json=body, headers=headers)
    jobs = [job.id for job in line.emulator.jobs]
    lists = line.count("/jobs", method="GET")

    def read(known=(), awaited=()) -> tuple[dict, int]:
        before = lists.struck
        found = run_charges(line.service, "of-this-run", lambda job: job in known, awaited)
        return {job.job_id: seconds for job, seconds in found}, lists.struck - before

    assert (dict.fromkeys(jobs), 2) == read()
    assert ({}, 1) == read(known=jobs)
    assert ({jobs[0]: None}, 2) == read(known=jobs[1:], awaited={jobs[0]})
    assert ({jobs[-1]: None}, 2) == read(known=jobs[:-1])

    line.service.job(jobs[-1]).cancel()
    assert ({jobs[-1]: 0.0}, 2) == read(known=jobs[:-1], awaited={jobs[-1]})


def test_a_job_takes_five_requests_and_no_more(line):
    """Usage, status, submission; one look at how it stands, and the result."""
    session = line.open()
    line.ask()
    identity = line.count("/identity/token")
    requests_of_a_job = line.count(EVERYTHING)

    job = line.submit(session)
    sent = requests_of_a_job.struck
    wait_until(lambda: line.emulator.jobs[0].status == "Completed")
    job.result()

    assert (3, 5, 0) == (sent, requests_of_a_job.struck, identity.struck)
    assert [] == line.time.pauses


def test_what_is_asked_before_every_job_is_asked_once_per_session(line):
    """Usage and status; another session asks anew, and so does whoever asks for itself."""
    session, other = line.open(), line.open()
    primitive = ClientPrimitive("sampler")
    pub = SamplerPub.coerce(flipped_qubit(5), shots=1)
    usage, status = line.count("/instances/usage"), line.count("/backends/ibm_manila/status")

    def submit(into: TimedWorkload) -> tuple[int, int]:
        primitive.run(into.client_mode, ["a-tag"], [pub])
        return usage.struck, status.struck

    assert [(1, 1), (1, 1), (2, 2)] == [submit(session), submit(session), submit(other)]

    line.time.now += FRESH_SECONDS + 1
    assert (3, 3) == submit(other)
    assert line.ask()
    assert (3, 4) == (usage.struck, status.struck)


# -- answers that pass


@pytest.mark.parametrize("status", TRANSIENT)
def test_a_question_is_asked_again_until_it_is_answered(status, line):
    """On every 5xx that may pass, also the one that the client leaves out."""
    broken = line.break_down("/backends/{name}/status", Answer(status), count=2)

    assert line.ask()
    assert (2, 2) == (broken.struck, len(line.time.pauses))


def test_an_outage_ends_in_its_own_status_when_the_patience_is_over(line):
    """The last answer is the error, not that there were too many; and the time is kept."""
    broken = line.break_down("/backends/{name}/status", Answer(503, code=1999))

    with pytest.raises(ServiceUnavailable, match=r"told to fail here.*code 1999") as error:
        line.ask()

    assert (503, 1999, True, False) == (
        error.value.status_code,
        error.value.code,
        error.value.retryable,
        error.value.doubtful,
    )
    assert broken.struck == 1 + len(line.time.pauses)
    assert line.retry_policy.total_seconds >= sum(line.time.pauses) > 60


@pytest.mark.parametrize("status", [400, 403, 404, 409, 501])
def test_an_answer_that_stands_is_not_asked_for_again(status, line):
    """Neither a refusal, nor what the service cannot do."""
    broken = line.break_down("/backends/{name}/status", Answer(status))

    with pytest.raises(ServiceError) as error:
        line.ask()

    assert (status, 1, False) == (error.value.status_code, broken.struck, error.value.retryable)


@pytest.mark.parametrize("outcome", ["close", "cancel"])
@pytest.mark.parametrize("effect", [Answer(503), Answer(429), Drop(), Drop(after_work=True)])
def test_a_release_is_repeated(outcome, effect, line):
    """PATCH and DELETE alike: the second time does nothing, or what the first did not."""
    session = line.open()
    methods = {"close": "PATCH", "cancel": "DELETE"}
    broken = line.break_down("/sessions/*", effect, method=methods[outcome], count=2)

    getattr(session, outcome)()

    assert [outcome] == [record.ended_by for record in line.emulator.sessions]
    assert (2, 2) == (broken.struck, len(line.time.pauses))


@pytest.mark.parametrize("route", ["/sessions", "/jobs", "/backends/{name}/status"])
def test_a_retry_after_is_waited_for_by_every_request(route, line):
    """A 429 was not processed, so a POST is repeated too, and one job comes of it."""
    line.break_down(route, Answer(429, retry_after_seconds=7), count=2)

    line.submit(line.open())

    assert (1, 1) == (len(line.emulator.sessions), len(line.emulator.jobs))
    assert 2 == len(line.time.pauses)
    assert all(7 < pause < 9 for pause in line.time.pauses)


def test_a_retry_after_beyond_the_patience_is_left_to_the_caller(line):
    """No request is sent that the service has asked not to send."""
    session = line.open()
    broken = line.break_down("/jobs", Answer(429, retry_after_seconds=600))

    with pytest.raises(ServiceUnavailable) as error:
        line.submit(session)

    assert (429, True, False) == (
        error.value.status_code,
        error.value.retryable,
        error.value.doubtful,
    )
    assert (1, []) == (broken.struck, line.time.pauses)


# -- what must not be done twice


@pytest.mark.parametrize("status", TRANSIENT)
@pytest.mark.parametrize("after_work", [True, False])
def test_a_5xx_on_a_submission_is_one_job_at_most_and_in_doubt(status, after_work, line):
    """The client would make two; nobody can tell from the answer whether there is one."""
    session = line.open()
    broken = line.break_down("/jobs", Answer(status, after_work=after_work), method="POST")

    with pytest.raises(ServiceUnavailable, match="look before you repeat") as error:
        line.submit(session)

    assert (int(after_work), 1) == (len(line.emulator.jobs), broken.struck)
    assert (status, True, True, session.session_id) == (
        error.value.status_code,
        error.value.retryable,
        error.value.doubtful,
        error.value.session_id,
    )


@pytest.mark.parametrize(
    ("effect", "jobs"),
    [
        (Drop(), 0),
        (Drop(after_work=True), 1),
        (Stall(), 1),
        (Delay(600, after_work=True), 1),
    ],
    ids=repr,
)
def test_a_submission_without_a_reply_is_one_job_at_most_and_in_doubt(effect, jobs, line):
    """Cut, or silent: the reply is given up, and the job is not sent again."""
    session = line.open()
    broken = line.break_down("/jobs", effect, method="POST")

    with pytest.raises(ServiceUnavailable, match="did not arrive") as error:
        line.submit(session)

    assert (jobs, 1) == (len(line.emulator.jobs), broken.struck)
    assert (None, True, True) == (
        error.value.status_code,
        error.value.retryable,
        error.value.doubtful,
    )


def test_a_session_whose_reply_is_lost_is_one_session(line):
    """The same for the other creation."""
    line.break_down("/sessions", Answer(502, after_work=True), method="POST")

    with pytest.raises(ServiceUnavailable) as error:
        line.open()

    assert (1, True, None) == (
        len(line.emulator.sessions),
        error.value.doubtful,
        error.value.session_id,
    )


# -- no answer


@pytest.mark.parametrize(
    "effect", [Drop(), Drop(after_work=True), Stall(), Delay(600), Delay(600, after_work=True)]
)
def test_a_question_without_a_reply_is_asked_again(effect, line):
    """Cut, half answered, or silent: each has an end, and the next try is answered."""
    broken = line.break_down("/backends/{name}/status", effect, count=1)

    assert line.ask()
    assert (1, 1) == (broken.struck, len(line.time.pauses))


def test_a_service_that_is_down_is_waited_for_and_then_told_of(line):
    """A connection that is refused was certainly not a job: a POST is repeated, without doubt."""
    line.emulator.stop()

    for request in (line.ask, line.open):
        line.time.pauses.clear()
        with pytest.raises(ServiceUnavailable, match="cannot be reached") as error:
            request()
        assert (None, True, False) == (
            error.value.status_code,
            error.value.retryable,
            error.value.doubtful,
        )
        assert line.retry_policy.total_seconds >= sum(line.time.pauses) > 60


def test_a_long_upload_is_not_cut_while_it_moves():
    """The time limit is for the silence; a slow reader takes longer than that in all."""
    megabyte, pieces = 1 << 20, 16
    received = []

    def read_slowly(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with closing(connection):
            while sum(received) < pieces * megabyte:
                received.append(len(connection.recv(megabyte // 8)))
                time.sleep(0.01)  # what makes it slow
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        reader = threading.Thread(target=read_slowly, args=(listening,))
        reader.start()
        session = requests.Session()
        session.mount(url, RetryingAdapter(None, RetryPolicy(connect_seconds=0.2)))
        answer = session.post(f"{url}/jobs", data="x" * pieces * megabyte)
        reader.join()

    assert 200 == answer.status_code
    assert pieces * megabyte < sum(received)


# -- tokens


def test_a_refused_token_is_replaced_once_also_for_a_submission(line):
    """The client gives up. A 401 was not processed, so the job is sent again: one job."""
    session = line.open()
    identity = line.count("/identity/token")
    refused = line.break_down("/jobs", Answer(401, code=1201), method="POST", count=1)

    wait_until_the_next_second()
    line.submit(session)

    assert (1, 1, 1) == (len(line.emulator.jobs), refused.struck, identity.struck)
    assert [] == line.time.pauses


def wait_until_the_next_second() -> None:
    """Two tokens that are made within one second are the same."""
    second = int(time.time())
    wait_until(lambda: int(time.time()) > second)


def test_a_key_that_is_refused_once_is_tried_again(line):
    """Without the identity service requests carry the key itself, and there is no other."""
    line.break_down("/identity/token", Drop())
    install(
        line.service, line.access, line.retry_policy, clock=line.time.clock, wait=line.time.wait
    )
    refused = line.break_down("/backends/{name}/status", Answer(401), count=1)

    assert line.ask()
    assert (1, []) == (refused.struck, line.time.pauses)


def test_a_key_that_stays_refused_is_told_after_one_new_token(line):
    """It is the key, then, and no number of tokens will help."""
    identity = line.count("/identity/token")
    refused = line.break_down("/backends/{name}/status", Answer(401, code=1201))
    wait_until_the_next_second()

    with pytest.raises(Unauthorized, match="API key") as error:
        line.ask()

    assert (1, 2) == (identity.struck, refused.struck)
    assert (401, 1201, False, False) == (
        error.value.status_code,
        error.value.code,
        error.value.retryable,
        error.value.doubtful,
    )


def test_a_token_that_expired_unnoticed_is_replaced(make_emulator):
    """A machine that slept: by our clock the token is good, by the service's it is not."""
    line = Line(make_emulator(token_lifetime_seconds=1))
    line.ask()
    expiry = time.time() + 1
    identity = line.count("/identity/token")
    wait_until(lambda: time.time() > expiry)

    assert line.ask()
    assert 1 == identity.struck


def test_a_token_is_renewed_ahead_of_its_end_by_one_request(line):
    """At four fifths of an hour; the next request finds it."""
    auth = line.auth()
    identity = line.count("/identity/token")
    asked = []
    for elapsed in (0, 2879, 2, 1):
        line.time.now += elapsed
        signed(auth)
        asked.append(identity.struck)

    assert [1, 1, 2, 2] == asked


def test_no_request_waits_for_the_renewal_of_a_token(line):
    """It carries the one that is still valid, however long the identity service takes."""
    renewals: list[Callable[[], None]] = []
    auth = TokenAuth(line.access, line.retry_policy, clock=line.time.clock, aside=renewals.append)
    token = signed(auth)
    line.time.now += 2881
    identity = line.count("/identity/token")

    assert [token, token] == [signed(auth), signed(auth)]
    assert (1, 0) == (len(renewals), identity.struck)

    renewals[0]()
    assert 1 == identity.struck
    line.time.now += 1000
    assert signed(auth).startswith("Bearer ")
    assert 1 == identity.struck


def test_without_the_identity_service_the_last_token_is_used_and_then_the_key(line, caplog):
    """It is asked no more often than every five seconds, and no request waits for it."""
    auth = line.auth()
    token = signed(auth)
    identity = line.break_down("/identity/token", Answer(503))
    seen, asked = [], []
    for elapsed in (2881, 4, 2, 719, 1, 5):
        line.time.now += elapsed
        seen.append(signed(auth))
        asked.append(identity.struck)
    line.emulator.faults.clear()
    line.time.now += 6

    key = f"apikey {line.account.api_key}"
    assert [token, token, token, key, key, key] == seen
    assert [1, 1, 2, 3, 3, 4] == asked
    assert signed(auth).startswith("Bearer ")
    assert line.account.api_key not in caplog.text
    assert "gave no token" in caplog.text


@pytest.mark.parametrize("effect", [Answer(503), Drop(), Delay(600), Stall()], ids=repr)
def test_an_identity_service_that_is_down_stalls_no_request(effect, line):
    """The client would wait for a minute in each; here the first waits for one try."""
    auth = line.auth()
    identity = line.break_down("/identity/token", effect)
    began = time.monotonic()
    key = f"apikey {line.account.api_key}"

    assert {key} == {signed(auth) for _ in range(10)}
    assert 1 == identity.struck
    assert 5 > time.monotonic() - began


def test_requests_go_on_with_the_key_while_there_is_no_token(line):
    """The service takes it; a new client has no token to start with."""
    install(
        line.service, line.access, line.retry_policy, clock=line.time.clock, wait=line.time.wait
    )
    identity = line.break_down("/identity/token", Drop())

    line.submit(line.open()).result()

    assert (1, 1) == (len(line.emulator.jobs), identity.struck)


def test_of_many_requests_with_one_refused_token_one_asks_for_another(line):
    """The others wait for it, and take it."""
    auth = line.auth()
    old = signed(auth)
    identity = line.count("/identity/token")
    wait_until_the_next_second()

    def sign_anew(_: int) -> str:
        request = PreparedRequest()
        request.prepare("GET", "http://127.0.0.1/", headers={"Authorization": old})
        auth.sign_anew(request)
        return request.headers["Authorization"]

    with ThreadPoolExecutor(8) as threads:
        results = set(threads.map(sign_anew, range(32)))

    assert 1 == identity.struck
    assert {signed(auth)} == results != {old}


# -- what is told


@pytest.mark.parametrize("route", ["/instances/usage", "/backends/{name}/status"])
def test_a_question_on_the_way_to_a_submission_leaves_no_doubt(route, line):
    """`run` asks two before the job is sent: their failure is not the job's."""
    session = line.open()
    line.break_down(route, Answer(502))

    with pytest.raises(ServiceUnavailable) as error:
        line.submit(session)

    assert (502, False, session.session_id) == (
        error.value.status_code,
        error.value.doubtful,
        error.value.session_id,
    )
    assert [] == line.emulator.jobs


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413])
def test_a_refused_submission_keeps_status_code_and_words(status, line):
    """The client drops the status, and for 404 the body too."""
    session = line.open()
    line.break_down("/jobs", Answer(status, code=1234), method="POST")

    with pytest.raises(ServiceError, match=r"told to fail here.*Clear its faults.*1234") as error:
        line.submit(session)

    assert (status, 1234, False, False) == (
        error.value.status_code,
        error.value.code,
        error.value.retryable,
        error.value.doubtful,
    )
    assert isinstance(error.value, Unauthorized) == (status == 403)


def test_a_close_that_fails_keeps_its_status(line):
    """The client has one text for every status."""
    session = line.open()
    line.break_down("/sessions/{id}", Answer(503, code=1999), method="PATCH")

    with pytest.raises(ServiceUnavailable) as error:
        session.close()

    assert (503, 1999, False, session.session_id) == (
        error.value.status_code,
        error.value.code,
        error.value.doubtful,
        error.value.session_id,
    )


def test_a_session_that_is_over_is_lost(line):
    """By IBM's code in the refusal of a job."""
    session = line.open()
    line.break_down("/jobs", Answer(400, code=1217), method="POST")

    with pytest.raises(SessionLost, match="1217") as error:
        line.submit(session)

    assert session.session_id == error.value.session_id


def test_a_refused_session_keeps_its_status(line):
    """It says that it was the session; the rest stays."""
    line.break_down("/sessions", Answer(400, code=1352), method="POST")

    with pytest.raises(SessionRefused) as error, refused_as_session_refused(Mode.SESSION):
        line.open()

    assert (400, 1352, False) == (error.value.status_code, error.value.code, error.value.doubtful)


def failing_with(error: Exception, doing: str, session_id: str | None = None) -> ServiceError:
    """Return what comes of an error of the client's."""
    with pytest.raises(ServiceError) as translation, translated(doing, session_id):
        raise error
    return translation.value


def test_an_error_that_was_handled_before_is_not_taken_for_this_one():
    """Who releases a session because of a 502 must not be told that the release met it."""
    answer = requests.Response()
    answer.status_code = 502
    try:
        answer.raise_for_status()
    except requests.HTTPError:
        error = failing_with(IBMRuntimeError("The session is closed."), "close it", "an-id")

    assert "Could not close it: The session is closed." == str(error)
    assert (None, "an-id") == (error.status_code, error.session_id)


def test_an_answer_that_is_not_json_leaves_a_submission_in_doubt():
    """A proxy's page with status 200: the job may be there."""
    error = failing_with(requests.JSONDecodeError("no JSON", "<html>", 0), "submit a job")

    assert error.doubtful
    assert "cannot be read" in str(error)


def test_jobs_are_found_by_their_tag_over_an_unsteady_line(line):
    """What a caller in doubt looks with; the list is read through outages."""
    session = line.open()
    line.submit(session, ("qsession:1",))
    line.submit(session)
    line.break_down("/jobs", Answer(502), method="GET", count=2)

    found = line.service.jobs(job_tags=["qsession:1"], limit=5)

    assert [line.emulator.jobs[0].id] == [job.job_id() for job in found]
