"""How the guardian's process releases: what it sends, when it tries again, when it gives up."""

import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from prefect_qsession.emulator import Answer, Drop, Fault
from prefect_qsession.prefect_api.requests import HttpRequest
from prefect_qsession.release.guardian.messages import guard
from prefect_qsession.release.guardian.sidecar import (
    GIVE_UP_SECONDS,
    LONGEST_PAUSE_SECONDS,
    REFUSALS,
    pause_after,
    release,
    send_request,
)
from prefect_qsession.release.records import Ward
from prefect_qsession.states import Release
from tests.guardian.conftest import outcomes


class Attempt:
    """A release by real requests, on a clock that only its own pauses move."""

    def __init__(self, ward: Ward) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.sent: list[tuple[str, str]] = []
        self.confirmed = release(
            guard(ward)["ward"],
            send=self._send,
            clock=lambda: self.now,
            wait=self._wait,
            chance=lambda: 0.5,
            date=lambda: "noon",
        )

    def _wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def _send(self, request: dict, **headers: str) -> tuple[int | None, bytes]:
        scheme = headers.get("Authorization", "").partition(" ")[0]
        self.sent.append((request["method"], scheme))
        return send_request(request, **headers)


TOKEN, CANCEL = ("POST", ""), ("DELETE", "Bearer")


@pytest.mark.parametrize("outcome", Release)
def test_a_session_is_released_by_two_requests(outcome, open_ward, emulator):
    """A token, and the request that the service knows for this outcome."""
    attempt = Attempt(open_ward(outcome))

    assert attempt.confirmed
    assert 2 == len(attempt.sent)
    assert [outcome.value] == outcomes(emulator)


def test_a_session_that_the_service_does_not_know_counts_as_released(open_ward, ledger):
    """It is not open, which is all that matters; its entry is struck from the ledger."""
    ward = open_ward(forget=ledger.forget, tell=ledger.tell)
    attempt = Attempt(replace(ward, session_id="no/such session"))

    assert attempt.confirmed
    assert [] == attempt.pauses
    assert ["DELETE"] == [method for method, *_ in ledger.asked]


@pytest.mark.parametrize("outcome", Release)
def test_a_release_is_told_once_it_is_confirmed(outcome, open_ward, ledger):
    """As what it was, with its time, and before the session is struck from the ledger."""
    attempt = Attempt(open_ward(outcome, forget=ledger.forget, tell=ledger.tell))

    assert attempt.confirmed
    assert [f"{outcome} at noon"] == ledger.told
    assert [("POST", [outcome.value]), ("DELETE", [outcome.value])] == [
        (method, stood) for method, _, _, stood in ledger.asked
    ]


@pytest.mark.parametrize("effect", [Answer(503), Answer(429), Answer(400), Drop()], ids=repr)
def test_a_service_that_fails_at_first_is_asked_again(effect, open_ward, emulator, ledger):
    """After growing pauses, with the token it has; the ledger hears of it only at the end."""
    emulator.faults.add(Fault("/sessions/{id}/close", effect, count=3))
    attempt = Attempt(open_ward(forget=ledger.forget))

    assert attempt.confirmed
    assert [TOKEN, *[CANCEL] * 4, ("DELETE", "")] == attempt.sent
    assert [0.25, 0.5, 1.0] == attempt.pauses
    assert [["cancel"]] == [stood for *_, stood in ledger.asked]


def test_a_reply_that_is_lost_is_asked_for_again(open_ward, emulator):
    """The first request has worked; the second finds nothing left to do."""
    emulator.faults.add(Fault("/sessions/{id}/close", Drop(after_work=True), count=1))
    attempt = Attempt(open_ward())

    assert attempt.confirmed
    assert ["cancel"] == outcomes(emulator)


@pytest.mark.parametrize("effect", [Answer(503), Answer(400), Drop()], ids=repr)
def test_without_a_token_the_key_itself_is_sent(effect, open_ward, emulator):
    """The service takes it as well, while the identity service is down."""
    ward = open_ward()
    emulator.faults.add(Fault("/identity/token", effect))
    attempt = Attempt(ward)

    assert attempt.confirmed
    assert [TOKEN, ("DELETE", "apikey")] == attempt.sent
    assert ["cancel"] == outcomes(emulator)


def test_a_token_that_is_refused_is_replaced(open_ward, emulator):
    """It may have been issued a moment too early, or revoked."""
    emulator.faults.add(Fault("/sessions/{id}/close", Answer(401), count=1))
    attempt = Attempt(open_ward())

    assert attempt.confirmed
    assert [TOKEN, CANCEL] * 2 == attempt.sent


def test_a_key_that_is_refused_again_and_again_is_given_up(open_ward, emulator, ledger):
    """Nothing is struck from the ledger: whoever looks there finds the session still open."""
    attempt = Attempt(open_ward(forget=ledger.forget, api_key="revoked"))

    assert not attempt.confirmed
    assert [TOKEN, ("DELETE", "apikey")] * REFUSALS == attempt.sent
    assert [None] == outcomes(emulator)
    assert [] == ledger.asked


@pytest.fixture
def unused_url():
    """Return an address where nobody answers."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


def test_a_service_that_is_gone_is_given_up_after_five_minutes(open_ward, ledger, unused_url):
    """No guardian stays for ever, and none asks the whole time."""
    nowhere = {"runtime_url": unused_url, "auth_url": unused_url}
    attempt = Attempt(open_ward(forget=ledger.forget, **nowhere))

    assert not attempt.confirmed
    assert GIVE_UP_SECONDS - LONGEST_PAUSE_SECONDS < sum(attempt.pauses) <= GIVE_UP_SECONDS
    assert len(attempt.pauses) < 30
    assert [] == ledger.asked


@pytest.mark.parametrize(
    ("statuses", "pauses"),
    [
        ([404], []),
        ([403], []),
        ([422], []),
        ([429, 408, 204], [0.25, 0.5]),
        ([503, 204], [0.25]),
        ([503, 503, 503, 204], [0.25, 0.5, 1.0]),
        ([503], [0.25, 0.5, 1.0, 2.0, 4.0]),
    ],
)
@pytest.mark.parametrize("what", ["forget", "tell"])
def test_an_api_that_is_busy_is_asked_again(what, statuses, pauses, open_ward, ledger):
    """But not for long: the session is over, which counts; the reaper strikes what is left."""
    ledger.statuses = list(statuses)
    attempt = Attempt(open_ward(**{what: getattr(ledger, what)}))

    assert attempt.confirmed
    assert pauses == attempt.pauses
    assert len(pauses) + 1 == len(ledger.asked)


@pytest.mark.parametrize("what", ["forget", "tell"])
def test_an_api_that_is_gone_is_not_waited_for(what, open_ward, unused_url):
    """The guardian ends with the flow's process, whatever else has ended with it."""
    gone = {
        "forget": HttpRequest("DELETE", unused_url),
        "tell": {outcome: HttpRequest("POST", unused_url, body="") for outcome in Release},
    }
    attempt = Attempt(open_ward(**{what: gone[what]}))

    assert attempt.confirmed
    assert [0.25] == attempt.pauses


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("name", ["cancel", "close"])
def test_no_secret_follows_a_redirect(name, status, open_ward, ledger):
    """It goes to the address it was meant for, and to no other."""
    ledger.statuses = [status, 204]
    request = guard(open_ward())["ward"][name]
    send_request({**request, "url": ledger.url}, Authorization="Bearer secret")

    assert [("/entry", "Bearer secret")] == [
        (path, authorization) for _, path, authorization, _ in ledger.asked
    ]


def test_a_request_goes_by_the_proxy_it_was_given(open_ward, ledger):
    """The host is the proxy's to find."""
    request = guard(open_ward(forget=ledger.forget))["ward"]["forget"]
    proxy = ledger.url.removesuffix("/entry")
    answer = send_request({**request, "url": "http://prefect.example/entry", "proxy": proxy})

    assert (204, b"") == answer
    assert ["http://prefect.example/entry"] == [path for _, path, *_ in ledger.asked]


def test_a_certificate_is_checked_unless_the_account_wants_no_check(open_ward, ledger, tmp_path):
    """Whom to trust is what the flow's side says."""
    key, certificate = _self_signed()
    (tmp_path / "both.pem").write_bytes(key + certificate)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "both.pem")
    ledger.server.socket = tls.wrap_socket(ledger.server.socket, server_side=True)
    request = guard(open_ward(forget=ledger.forget))["ward"]["forget"]
    request["url"] = request["url"].replace("http:", "https:")
    trusted = str(tmp_path / "certificate.pem")
    statuses = [
        send_request({**request, "certificates": certificates})[0]
        for certificates in (request["certificates"], trusted, None, "/nowhere.pem")
    ]

    assert [None, 204, 204, None] == statuses


def _self_signed() -> tuple[bytes, bytes]:
    """Return a key and a certificate of this machine's loopback address, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return (
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
    )


@pytest.mark.parametrize(
    ("tries", "chance", "expected"),
    [
        (1, 0.5, 0.25),
        (1, 0.0, 0.125),
        (1, 1.0, 0.375),
        (4, 0.5, 2.0),
        (7, 0.5, 16.0),
        (8, 0.5, 20.0),
        (8, 1.0, 30.0),
        (1000, 0.5, 20.0),
    ],
)
def test_the_pause_after(tries, chance, expected):
    """Doubled, bounded, moved by chance."""
    assert expected == pause_after(tries, chance)
