"""The service describes its API, and answers what the description allows and what it does not."""

import json
import string
import tracemalloc

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from prefect_qsession.emulator import Emulator, EmulatorSettings
from prefect_qsession.emulator.settings import RUNTIME_PREFIX

from .conftest import HEADERS

ENDPOINTS = [
    ("POST", "/identity/token"),
    ("POST", "/v3/resources/search"),
    ("GET", "/catalog/{plan_id}"),
    ("GET", f"{RUNTIME_PREFIX}/backends"),
    ("GET", f"{RUNTIME_PREFIX}/backends/{{name}}/configuration"),
    ("GET", f"{RUNTIME_PREFIX}/backends/{{name}}/properties"),
    ("GET", f"{RUNTIME_PREFIX}/backends/{{name}}/defaults"),
    ("GET", f"{RUNTIME_PREFIX}/backends/{{name}}/status"),
    ("GET", f"{RUNTIME_PREFIX}/instances/usage"),
    ("POST", f"{RUNTIME_PREFIX}/sessions"),
    ("GET", f"{RUNTIME_PREFIX}/sessions/{{session_id}}"),
    ("PATCH", f"{RUNTIME_PREFIX}/sessions/{{session_id}}"),
    ("DELETE", f"{RUNTIME_PREFIX}/sessions/{{session_id}}/close"),
    ("POST", f"{RUNTIME_PREFIX}/jobs"),
    ("GET", f"{RUNTIME_PREFIX}/jobs"),
    ("GET", f"{RUNTIME_PREFIX}/jobs/{{job_id}}"),
    ("DELETE", f"{RUNTIME_PREFIX}/jobs/{{job_id}}"),
    ("GET", f"{RUNTIME_PREFIX}/jobs/{{job_id}}/results"),
    ("POST", f"{RUNTIME_PREFIX}/jobs/{{job_id}}/cancel"),
    ("GET", f"{RUNTIME_PREFIX}/jobs/{{job_id}}/logs"),
    ("GET", f"{RUNTIME_PREFIX}/jobs/{{job_id}}/metrics"),
    ("PUT", f"{RUNTIME_PREFIX}/jobs/{{job_id}}/tags"),
    ("GET", f"{RUNTIME_PREFIX}/workloads"),
]


@pytest.fixture(scope="module")
def described(simulators):
    """Start one emulator for all requests, with a job and a session to ask about."""
    with Emulator(EmulatorSettings(hand_clock=True), simulators=simulators) as emulator:
        described = Described(emulator)
        described.make_work()
        yield described
        described.http.close()


class Described:
    """An emulator, its own description, and ids that are known to it."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.http = requests.Session()
        answer = self.http.get(f"{emulator.url}/emulator/openapi.json", timeout=5)
        self.description = answer.json()
        self.known = ["ibm_manila", "mock_manila", "emulated-plan-open"]

    def make_work(self) -> None:
        """Open a session and submit a job."""
        for path, body in (
            ("/sessions", {"backend": "ibm_manila"}),
            ("/jobs", {"backend": "ibm_manila", "program_id": "sampler", "params": {}}),
        ):
            url = self.emulator.runtime_url + path
            self.known.append(
                self.http.post(url, json=body, headers=HEADERS, timeout=5).json()["id"]
            )

    def operations(self) -> dict[tuple[str, str], dict]:
        """Return what the description has of the emulated routes."""
        return {
            (method.upper(), path): operation
            for path, methods in self.description["paths"].items()
            for method, operation in methods.items()
            if path != "/" and not path.startswith("/emulator")
        }


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
path_text = st.text(
    string.ascii_letters + string.digits + "-_.~%: ", min_size=1, max_size=40
).filter(lambda text: text not in (".", ".."))


def of_schema(schema: dict, known: list[str]) -> st.SearchStrategy:
    """Draw what a schema of the description allows."""
    if "anyOf" in schema:
        return st.one_of([of_schema(each, known) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    draw = OF_TYPES.get(schema.get("type"))
    return anything if draw is None else draw(schema, known)


def of_text(schema: dict, known: list[str]) -> st.SearchStrategy:
    """Draw a text: often one that means something to the service."""
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda moment: moment.isoformat())
    return st.sampled_from(known) | st.text(max_size=schema.get("maxLength", 50))


def of_object(schema: dict, known: list[str]) -> st.SearchStrategy:
    """Draw an object with what it needs, and some of what it may have."""
    if "properties" not in schema:
        return st.dictionaries(st.text(), anything, max_size=3)
    parts = {name: of_schema(part, known) for name, part in schema["properties"].items()}
    needed = {name: parts.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(needed, optional=parts)


OF_TYPES = {
    "string": of_text,
    "integer": lambda schema, _: st.integers(schema.get("minimum"), schema.get("maximum")),
    "boolean": lambda *_: st.booleans(),
    "null": lambda *_: st.none(),
    "array": lambda schema, known: st.lists(of_schema(schema.get("items", {}), known), max_size=10),
    "object": of_object,
}


def test_the_description_has_every_endpoint(described):
    """What is emulated is described, and nothing else."""
    assert set(ENDPOINTS) == set(described.operations())


@pytest.mark.deep
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_every_request_is_answered_as_described(described, method, path):
    """Whether it fits the description or not: no failure, and no form that is not IBM's."""
    operation = described.operations()[method, path]
    body_schema = (
        operation.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        .get("schema", {})
    )

    @given(st.data())
    def ask(data) -> None:
        address, query = path, {}
        for parameter in operation.get("parameters", []):
            name = parameter["name"]
            if parameter["in"] == "path":
                value = data.draw(st.sampled_from(described.known) | path_text, name)
                address = address.replace(f"{{{name}}}", requests.utils.quote(value, safe=""))
            elif data.draw(st.booleans(), f"with {name}"):
                fitting = of_schema(parameter["schema"], described.known)
                query[name] = data.draw(fitting | st.text(max_size=30), name)
        body = data.draw(
            of_schema(body_schema, described.known).map(json.dumps)
            | anything.map(json.dumps)
            | st.binary(max_size=50),
            "body",
        )
        answer = described.http.request(
            method,
            described.emulator.url + address,
            params=query,
            data=None if method == "GET" else body,
            headers=HEADERS | {"Content-Type": "application/json"},
            timeout=20,
        )

        assert_described(answer, operation["responses"])

    ask()


def assert_described(answer: requests.Response, responses: dict) -> None:
    """Check a status, and the form of what comes with it."""
    status = str(answer.status_code)
    assert status in responses or (status[0] == "4" and "4XX" in responses), answer.text
    if answer.status_code == 204:
        assert "" == answer.text
    elif answer.headers["Content-Type"].startswith("application/json"):
        document = answer.json()
        assert status[0] != "4" or {"errors", "trace"} == set(document) or "errorCode" in document
    else:
        assert answer.text == "device not found" or answer.request.url.endswith("/logs")


def test_requests_that_come_to_nothing_leave_nothing_in_memory(described):
    """However many there are: refused, unknown, or only looking."""
    asked = [
        ("POST", f"{RUNTIME_PREFIX}/jobs", b"x" * 10_000),
        ("POST", f"{RUNTIME_PREFIX}/sessions", b'{"backend":"nowhere"}'),
        ("PUT", f"{RUNTIME_PREFIX}/jobs/unknown/tags", b'{"tags":[]}'),
        ("POST", "/emulator/faults", b'{"route":1}'),
        ("POST", "/identity/token", b"grant_type=nonsense"),
        ("GET", f"{RUNTIME_PREFIX}/jobs", None),
        ("GET", f"{RUNTIME_PREFIX}/workloads", None),
        ("GET", "/emulator/overview", None),
        ("GET", "/nowhere", None),
    ]

    def ask_often(times: int) -> None:
        for _ in range(times):
            for method, path, body in asked:
                url = described.emulator.url + path
                described.http.request(method, url, data=body, headers=HEADERS, timeout=20)

    tracemalloc.start()
    ask_often(10)
    grown = []
    for _ in range(3):
        before, _ = tracemalloc.get_traced_memory()
        ask_often(20)
        after, _ = tracemalloc.get_traced_memory()
        grown.append(after - before)
    tracemalloc.stop()

    # A request that left anything would leave it in every round, its body alone ten thousand bytes;
    # other threads of the tests, which are counted too, do not.
    assert min(grown) / 20 < 1000
