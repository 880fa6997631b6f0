"""The automations as code: created once, and fired by our events on a real Prefect server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from demo.servers import ROOT, PrefectServer
from deployments.automations import (
    BUDGET_AT_80_PERCENT,
    LOST_HEARTBEAT_IS_A_CRASH,
    QUEUE_LONGER_THAN_AN_HOUR,
    SESSION_CANCELLED_AFTER_A_CRASH,
    automations,
    create_or_update,
)
from tests.harness.waiting import wait_until

HAPPEN = """
import sys
from uuid import UUID
from prefect_qsession.reporting.prefect_events import EventSubject, announce
from prefect_qsession.reporting import run_events as told
from prefect_qsession.states import SessionState

about = EventSubject(UUID(sys.argv[1]), "a-run")
announce(told.ReleasedEvent("kept", SessionState.CLOSED), about)
announce(told.ReleasedEvent("failed", SessionState.CANCELLED), about)
by_guardian = told.ReleasedEvent("crashed", SessionState.CANCELLED, by=told.ReleasedBy.GUARDIAN)
announce(by_guardian, about)
announce(told.BudgetWarningEvent("qpu_budget", 480.0, 600.0), about)
announce(told.LongQueueEvent(3700.0, session_id="queued"), about)
"""


@pytest.fixture
def client():
    """Return a client of the tests' server that has none of our automations."""
    with get_client(sync_client=True) as client:
        yield client
        for automation in automations():
            for there in client.read_automations_by_name(automation.name):
                client.delete_automation(there.id)


@pytest.fixture
def messages() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Listen as a chat does, and return where, and what was said."""
    said: list[dict[str, str]] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing of it."""

    with HTTPServer(("127.0.0.1", 0), Chat) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", said
        server.shutdown()
        thread.join()


def test_automations_are_created_once(client):
    """The second time they are updated, and what somebody has turned off stays off."""
    first = [create_or_update(automation, client) for automation in automations()]
    [there] = client.read_automations_by_name(BUDGET_AT_80_PERCENT)
    client.pause_automation(there.id)
    again = [create_or_update(automation, client) for automation in automations()]

    assert ([True] * 4, [False] * 4) == (first, again)
    found = [client.read_automations_by_name(automation.name) for automation in automations()]
    assert [1, 1, 1, 1] == [len(one) for one in found]
    assert [BUDGET_AT_80_PERCENT] == [it.name for [it] in found if not it.enabled]


def test_a_lost_heartbeat_is_called_a_crash_after_three_missed_ones(client):
    """For each flow run apart, ten minutes after its last heartbeat."""
    for automation in automations():
        create_or_update(automation, client)
    [there] = client.read_automations_by_name(LOST_HEARTBEAT_IS_A_CRASH)

    assert 600.0 == there.trigger.within.total_seconds()
    assert {"prefect.flow-run.heartbeat"} == there.trigger.after
    assert {"prefect.resource.id"} == there.trigger.for_each
    assert ["CRASHED"] == [action.state.value for action in there.actions]


def test_a_notification_block_that_is_not_there_is_refused(client):
    """Before anything is created."""
    with pytest.raises(ObjectNotFound):
        automations("slack-webhook/nobody")


@pytest.mark.slow
def test_what_happens_to_a_session_is_told_to_whom_it_concerns(tmp_path, messages):
    """Cancelled by another than its process, a budget, a queue: one message each, and no more."""
    url, said = messages
    with (
        PrefectServer(tmp_path / "prefect") as server,
        temporary_settings({PREFECT_API_URL: server.url}),
    ):
        chat = CustomWebhookNotificationBlock(
            name="chat", url=url, json_data={"subject": "{{subject}}", "body": "{{body}}"}
        )
        chat.save("chat")
        with get_client(sync_client=True) as client:
            for automation in automations(f"{chat.get_block_type_slug()}/chat"):
                create_or_update(automation, client)
            flow_run = client.create_flow_run(_nothing, name="a-run")
        subprocess.run(
            [sys.executable, "-c", HAPPEN, str(flow_run.id)],
            cwd=ROOT,
            env=server.environment(),
            check=True,
        )
        wait_until(lambda: len(said) >= 3)

    assert [
        "A budget is at 80 %",
        "A queue is longer than an hour",
        "A session was cancelled after a crash",
    ] == sorted(message["subject"] for message in said)
    bodies = " ".join(message["body"] for message in said)
    assert "a-run ended without releasing session crashed" in bodies
    assert "a-run has spent 480.0 s of its qpu_budget" in bodies
    assert str(flow_run.id) in bodies


@flow
def _nothing() -> None:
    """Be a flow that has runs."""


def test_the_names_are_those_of_the_documentation():
    """Four of them."""
    assert [
        SESSION_CANCELLED_AFTER_A_CRASH,
        BUDGET_AT_80_PERCENT,
        QUEUE_LONGER_THAN_AN_HOUR,
        LOST_HEARTBEAT_IS_A_CRASH,
    ] == [automation.name for automation in automations()]
