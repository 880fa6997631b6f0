"""The HTTP side: what is not a proper request gets a proper refusal."""

import http.client
import json
import logging
import statistics
import time

import pytest
import requests

from prefect_qsession.emulator import InstanceSettings

HEADERS = {
    "Authorization": "apikey emulator-api-key",
    "Service-CRN": InstanceSettings().crn,
    "Content-Type": "application/json",
}


def assert_ibm_shaped(answer: requests.Response) -> None:
    """Check the form of an error as the service's clients know it."""
    body = answer.json()
    [error] = body["errors"]
    assert {"errors", "trace"} == set(body)
    assert {"code", "message", "solution", "more_info"} == set(error)
    assert isinstance(error["code"], int)
    assert f'"code":{error["code"]}' in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nonsense", 404),
        ("POST", "/backends", 405),
        ("PUT", "/jobs", 405),
        ("GET", "/jobs/unknown", 404),
        ("GET", "/sessions/unknown", 404),
        ("GET", "/jobs?limit=-1", 400),
        ("GET", "/jobs?limit=many", 400),
        ("GET", "/jobs?created_after=yesterday", 400),
        ("GET", "/jobs?sort=sideways", 400),
        ("GET", "/jobs?pending=perhaps", 400),
    ],
)
def test_what_the_service_does_not_offer_is_refused_in_ibms_form(emulator, method, path, status):
    """Unknown routes, methods and query values get IBM's error document and the right status."""
    answer = requests.request(method, emulator.runtime_url + path, headers=HEADERS, timeout=5)

    assert status == answer.status_code
    assert_ibm_shaped(answer)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"x"', b"{}", b'{"a":' * 500, b"[" * 100_000]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/jobs"), ("POST", "/sessions"), ("PUT", "/jobs/x/tags")]
)
def test_garbage_bodies_are_refused_in_ibms_form(emulator, method, path, body):
    """A body that is not what the endpoint takes is refused with code 1208."""
    answer = requests.request(
        method, emulator.runtime_url + path, data=body, headers=HEADERS, timeout=5
    )

    assert (400, 1208) == (answer.status_code, answer.json()["errors"][0]["code"])
    assert_ibm_shaped(answer)


def test_an_unknown_session_mode_is_refused(emulator):
    """There are two modes of workloads with a session; another is a validation error."""
    answer = requests.post(
        f"{emulator.runtime_url}/sessions",
        json={"mode": "exclusive", "backend": "ibm_manila"},
        headers=HEADERS,
        timeout=5,
    )

    assert 400 == answer.status_code
    assert_ibm_shaped(answer)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(emulator):
    """More than 50 MB is refused by its announced length, without reading it."""
    connection = http.client.HTTPConnection(*emulator.url.removeprefix("http://").split(":"))
    connection.putrequest("POST", "/experimental/api/v1/jobs")
    for name, value in (HEADERS | {"Content-Length": "50000001"}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    connection.close()

    assert 413 == answer.status


def test_a_body_of_unannounced_length_is_refused_when_it_grows_too_large(emulator):
    """A stream is given up as soon as it passes 50 MB."""
    pieces = (b"x" * 1_000_000 for _ in range(51))

    answer = requests.post(f"{emulator.runtime_url}/jobs", data=pieces, headers=HEADERS, timeout=30)

    assert 413 == answer.status_code
    assert_ibm_shaped(answer)


def test_no_key_and_no_token_is_logged(emulator, connect, caplog):
    """At the lowest level of logging, neither the API key nor a token appears."""
    caplog.set_level(logging.DEBUG, logger="prefect_qsession")
    caplog.set_level(logging.DEBUG, logger="uvicorn")
    service = connect(emulator)
    token = service._get_api_client()._session.auth.tm.get_token()
    requests.get(f"{emulator.runtime_url}/nonsense", headers=HEADERS, timeout=5)

    assert "emulator-api-key" not in caplog.text
    assert token not in caplog.text


def test_the_record_is_served_apart_from_the_emulated_routes(bench):
    """The control routes give the same record as the Python side, and move the hand clock."""
    bench.submit()
    url = bench.emulator.url

    moved = requests.post(f"{url}/emulator/clock/advance", json={"seconds": 10.0}, timeout=30)
    record = requests.get(f"{url}/emulator/record", timeout=5).json()

    assert bench.clock.now() == moved.json()["now"] == record["now"]
    [job] = bench.emulator.jobs
    assert json.loads(json.dumps(job.as_dict())) == record["jobs"][0]
    assert "Completed" == record["jobs"][0]["status"]


@pytest.mark.parametrize("seconds", [-1, "x", None])
def test_the_hand_clock_takes_nothing_but_time(bench, seconds):
    """Moves that are no number of seconds forwards are refused."""
    url = f"{bench.emulator.url}/emulator/clock/advance"

    assert 400 == requests.post(url, json={"seconds": seconds}, timeout=5).status_code


def test_a_running_clock_cannot_be_moved(emulator):
    """Only a hand clock is moved by hand."""
    url = f"{emulator.url}/emulator/clock/advance"

    assert 409 == requests.post(url, json={"seconds": 1}, timeout=5).status_code


def test_the_control_routes_can_be_switched_off(make_emulator):
    """Without control the emulator serves nothing but what the service has."""
    url = make_emulator(control=False).url

    assert 404 == requests.get(f"{url}/emulator/record", timeout=5).status_code


def test_asking_for_a_status_is_quick(bench):
    """A client that polls gets its answer in milliseconds; a stalled socket would take 40."""
    job = bench.submit()
    path = f"/experimental/api/v1/jobs/{job.job_id()}"
    connection = http.client.HTTPConnection(*bench.emulator.url.removeprefix("http://").split(":"))
    times = []
    for _ in range(100):
        begun = time.perf_counter()
        connection.request("GET", path, headers=HEADERS)
        connection.getresponse().read()
        times.append(time.perf_counter() - begun)
    connection.close()

    assert statistics.median(times) < 0.02
