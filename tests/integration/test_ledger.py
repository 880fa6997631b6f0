"""The ledger: one contract, kept by the API's and by the tests' own; and what the API adds."""

import asyncio
import json
import random
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from uuid import uuid4

import pytest
from prefect import flow, get_client
from prefect.client.schemas.actions import VariableCreate
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_CLIENT_CUSTOM_HEADERS,
    temporary_settings,
)
from prefect.states import Completed

from prefect_qsession.exceptions import LedgerUnavailable
from prefect_qsession.ibm.records import ServiceAccess
from prefect_qsession.prefect_api.requests import HttpRequest
from prefect_qsession.release.guardian.messages import guard
from prefect_qsession.release.guardian.sidecar import deliver, send_request
from prefect_qsession.release.ledger import PAGE, PrefectLedger
from prefect_qsession.release.processes import this_process
from prefect_qsession.release.records import FlowRunProgress, Ledger, Ward
from tests.memory_ledger import MemoryLedger, make_entry


@pytest.fixture(params=[PrefectLedger, MemoryLedger])
def ledger(request) -> Ledger:
    return request.param()


@pytest.fixture
def api_ledger():
    return PrefectLedger()


def without_heartbeat(entry):
    return replace(entry, heartbeat_at=None) if entry else None


def variable_name(session_id):
    return f"qsession_{session_id.replace('-', '_')}"


def refusals(calls):
    """Return what each of these calls says of a ledger that is unavailable."""
    said = []
    for call in calls:
        with pytest.raises(LedgerUnavailable) as caught:
            call(PrefectLedger())
        said.append(str(caught.value))
    return said


# -- the contract


def test_what_is_recorded_is_found_as_it_was(ledger):
    """Every field comes back, and when the ledger has heard of it."""
    entry = make_entry(process=this_process(), root_flow_run_id=uuid4(), credentials=None)
    ledger.record(entry)
    found = ledger.find(entry.session_id)

    assert entry == without_heartbeat(found)
    assert found.heartbeat_at is not None
    assert entry.opened_at.utcoffset() == found.opened_at.utcoffset()


def test_what_was_never_recorded_is_not_found(ledger):
    """No entry, no error."""
    assert ledger.find(str(uuid4())) is None


def test_recording_again_takes_the_place_of_the_earlier_entry(ledger):
    """A later attempt in another process takes the session over."""
    entry = make_entry()
    ledger.record(entry)
    root_id = uuid4()
    later = replace(entry, attempt=2, process=this_process(), root_flow_run_id=root_id)
    ledger.record(later)

    assert [later] == [without_heartbeat(found) for found in ledger.entries(entry.flow_run_id)]
    assert [later] == [without_heartbeat(found) for found in ledger.entries(root_id)]


def test_each_heartbeat_is_unlike_the_one_before(ledger):
    """Also if the same entry is given each time."""
    entry = make_entry()
    ledger.record(entry)
    seen = [ledger.find(entry.session_id)]
    for _ in range(3):
        assert ledger.beat(entry)
        seen.append(ledger.find(entry.session_id))

    assert all(earlier.beat < later.beat for earlier, later in pairwise(seen))
    assert all(earlier.heartbeat_at < later.heartbeat_at for earlier, later in pairwise(seen))
    assert entry == replace(seen[-1], beat=0, heartbeat_at=None)


def test_a_heartbeat_of_what_is_forgotten_does_not_bring_it_back(ledger):
    """It says that the entry is gone."""
    entry = make_entry()
    ledger.record(entry)
    ledger.forget(entry.session_id)

    assert not ledger.beat(entry)
    assert ledger.find(entry.session_id) is None


def test_forgetting_may_be_repeated(ledger):
    """The second time there is nothing to do."""
    entry = make_entry()
    ledger.record(entry)
    ledger.forget(entry.session_id)
    ledger.forget(entry.session_id)

    assert ledger.find(entry.session_id) is None


def test_the_entries_of_a_flow_run_are_its_own_and_those_below_it(ledger):
    """A subflow's own session is found from the top, the top's not from the subflow."""
    root = make_entry()
    child = make_entry(root_flow_run_id=root.flow_run_id)
    other = make_entry()
    for entry in (root, child, other):
        ledger.record(entry)
    everything = {entry.session_id for entry in ledger.entries()}

    assert {root.session_id, child.session_id, other.session_id} <= everything
    assert {root.session_id, child.session_id} == {
        entry.session_id for entry in ledger.entries(root.flow_run_id)
    }
    assert [child.session_id] == [entry.session_id for entry in ledger.entries(child.flow_run_id)]
    assert [] == ledger.entries(uuid4())


# -- what the API adds


def test_the_ids_and_names_of_others_fit_into_the_api(api_ledger):
    """Upper case and dots in a session's id, long names beyond ASCII; the id comes back whole."""
    entry = make_entry(session_id=f"D1.x-{uuid4()}", flow_run_name="\N{SNOWMAN}" * 3000)
    api_ledger.record(entry)
    found = api_ledger.find(entry.session_id)

    assert entry.session_id == found.session_id
    assert "\N{SNOWMAN}" * 200 == found.flow_run_name
    api_ledger.forget(entry.session_id)
    assert api_ledger.find(entry.session_id) is None


def test_more_entries_than_a_page_are_listed_once_each(api_ledger):
    """On the boundary of a page, and one beyond it."""
    entry = make_entry()
    api_ledger.record(entry)
    session_ids = [entry.session_id, *(str(uuid4()) for _ in range(PAGE))]
    with get_client(sync_client=True) as client:
        original = client.read_variable_by_name(variable_name(entry.session_id))

        def copy(session_id):
            client.create_variable(
                VariableCreate(
                    name=variable_name(session_id),
                    value={**original.value, "session_id": session_id},
                    tags=original.tags,
                )
            )

        for session_id in session_ids[1:PAGE]:
            copy(session_id)
        full = [found.session_id for found in api_ledger.entries(entry.flow_run_id)]
        copy(session_ids[PAGE])
    listed = [found.session_id for found in api_ledger.entries(entry.flow_run_id)]

    assert sorted(session_ids[:PAGE]) == sorted(full)
    assert sorted(session_ids) == sorted(listed)


@pytest.mark.parametrize(
    "value",
    [None, "text", {"version": 2, "session_id": "from the future"}, {"version": 1}],
    ids=["null", "text", "newer version", "incomplete"],
)
def test_a_variable_that_cannot_be_read_is_left_out_with_a_warning(value, api_ledger, caplog):
    """Someone edited it, or a newer version wrote it; the others are listed all the same."""
    root_id = uuid4()
    entry = make_entry(root_flow_run_id=root_id)
    api_ledger.record(entry)
    name = f"qsession_{uuid4().hex}"
    with get_client(sync_client=True) as client:
        tags = ["qsession", f"flow-run:{root_id}"]
        client.create_variable(VariableCreate(name=name, value=value, tags=tags))
        listed = [found.session_id for found in api_ledger.entries(root_id)]
        client.delete_variable_by_name(name)
    told = [record for record in caplog.records if name in record.getMessage()]

    assert [entry.session_id] == listed
    assert ["WARNING"] == [record.levelname for record in told]


def test_how_far_flow_runs_are_is_read_in_pages(api_ledger):
    """More than the API gives at once; one that does not exist is left out."""

    @flow
    def nothing() -> None:
        pass

    with get_client(sync_client=True) as client:
        first, last = (client.create_flow_run(nothing).id for _ in range(2))
        client.set_flow_run_state(last, Completed(), force=True)
    unknown = [uuid4() for _ in range(PAGE)]
    read = api_ledger.flow_runs([first, *unknown, last])

    assert {first, last} == set(read)
    assert FlowRunProgress("PENDING", 0) == read[first]
    assert "COMPLETED" == read[last].state_type
    assert {} == api_ledger.flow_runs([])


def test_the_ledger_works_from_async_code(api_ledger):
    """It blocks for a moment; it needs no loop and breaks none."""
    entry = make_entry()

    async def hold() -> bool:
        api_ledger.record(entry)
        await asyncio.sleep(0)
        return api_ledger.beat(entry)

    assert asyncio.run(hold())
    assert [entry.session_id] == [e.session_id for e in api_ledger.entries(entry.flow_run_id)]


def test_the_bare_request_forgets_the_entry(api_ledger):
    """As the guardian sends it, which knows nothing of Prefect."""
    entry = make_entry()
    api_ledger.record(entry)
    access = ServiceAccess("key", "crn:v1:x", "http://runtime.test", "http://iam.test")
    forget = api_ledger.forget_request(entry.session_id)
    request = guard(Ward(entry.session_id, access, forget=forget))["ward"]["forget"]

    assert deliver(request, send_request, time.sleep, random.random)
    assert api_ledger.find(entry.session_id) is None


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({}, {}),
        ({PREFECT_API_KEY: "pnu_1"}, {"Authorization": "Bearer pnu_1"}),
        (
            {PREFECT_API_KEY: "pnu_1", PREFECT_API_AUTH_STRING: "admin:pass"},
            {"Authorization": "Basic YWRtaW46cGFzcw=="},
        ),
        ({PREFECT_CLIENT_CUSTOM_HEADERS: {"X-Way": "in"}}, {"X-Way": "in"}),
    ],
    ids=["open", "key", "basic", "custom"],
)
def test_the_bare_request_says_who_asks(settings, headers, api_ledger):
    """As Prefect's own client would; the secrets are in no repr."""
    with temporary_settings({PREFECT_API_URL: "http://api.test/api/", **settings}):
        request = api_ledger.forget_request("a-1")

    assert HttpRequest("DELETE", "http://api.test/api/variables/name/qsession_a_1", headers) == (
        request
    )
    assert "Authorization" not in repr(request)


def test_there_is_no_bare_request_to_an_api_that_ends_with_this_process(api_ledger):
    """A temporary API has no address of its own in the settings."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert api_ledger.forget_request("a-1") is None


def test_an_api_that_is_not_there_is_named_as_such():
    """By every method, and without its address."""
    entry = make_entry()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:hunter2@127.0.0.1:{unused.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            said = refusals(
                [
                    lambda ledger: ledger.record(entry),
                    lambda ledger: ledger.beat(entry),
                    lambda ledger: ledger.forget(entry.session_id),
                    lambda ledger: ledger.find(entry.session_id),
                    lambda ledger: ledger.entries(),
                    lambda ledger: ledger.flow_runs([uuid4()]),
                ]
            )

    assert 6 == len(said)
    assert not any("hunter2" in words for words in said)


@contextmanager
def answering(status, headers=(), body=b"{}"):
    """Run an API that answers everything the same; yields what was asked of it."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.command)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {**dict(headers), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PATCH = do_DELETE = do_POST  # noqa: N815 - as the base class calls them

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "headers",
    [{}, {"Retry-After": "600"}, {"Prefect-Maintenance": "true"}],
    ids=["plain", "retry after ten minutes", "maintenance"],
)
def test_a_busy_api_is_asked_twice_and_no_more(headers):
    """However long it wants us to wait."""
    with answering(503, headers) as asked:
        [said] = refusals([lambda ledger: ledger.find("a-1")])

    assert ["GET", "GET"] == asked
    assert "503" in said


@pytest.mark.parametrize("body", [b"no json", b'{"detail": "odd"}', b"[1]"])
def test_an_api_that_is_none_is_named_as_such(body):
    """Another server answers at that address."""
    with answering(200, body=body):
        said = refusals([lambda ledger: ledger.entries()])

    assert 1 == len(said)


def test_no_entry_holds_a_secret(api_ledger, save_block, emulator):
    """Nothing of the credentials but the block's name is in the variable."""
    entry = make_entry(credentials=save_block(emulator), opened_at=datetime.now(UTC))
    api_ledger.record(entry)
    with get_client(sync_client=True) as client:
        variable = client.read_variable_by_name(variable_name(entry.session_id))
    told = json.dumps(variable.value)

    assert entry.credentials in told
    assert emulator.settings.instances[0].api_keys[0] not in told
