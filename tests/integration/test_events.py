"""Events of what happens to sessions, as Prefect's server keeps them for automations."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter

from demo.servers import PrefectServer
from prefect_qsession.emulator import InstanceSettings, TimingSettings
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.xdist_group("events")

SCRIPT = """
import time
from prefect_qsession import QiskitRuntimeCredentials, session_flow
from tests.integration.conftest import one

@session_flow(QiskitRuntimeCredentials.from_environment(), backend="ibm_manila", **{options})
def runs():
    one(10)
    time.sleep({pause})
    one(20)

runs()
"""

DIES = """
import os, signal
from prefect import runtime
from prefect_qsession import session_flow
from tests.integration.conftest import one
from tests.integration.test_report import shows
from tests.harness.waiting import wait_until

@session_flow("emulated", backend="ibm_manila")
def dies():
    one(10)
    # The report is written beside the flow, and may at first be one without the session.
    wait_until(lambda: shows(runtime.flow_run.id, "| Session | `"))
    print(runtime.flow_run.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

dies()
"""

HOOK = """
import sys
from uuid import UUID
from prefect import flow, get_client
from prefect.states import Crashed
from prefect_qsession.hooks import release_recorded_sessions

with get_client(sync_client=True) as client:
    flow_run = client.read_flow_run(UUID(sys.argv[1]))
release_recorded_sessions(flow(lambda: None, name="dies"), flow_run, Crashed())
"""


class Server:
    """A Prefect server that keeps events; the tests' own one does not."""

    def __init__(self, server: PrefectServer) -> None:
        self._server = server
        self._began = datetime.now(UTC)

    def run(self, emulator, pause=0.0, **options) -> None:
        """Run a flow in a process of its own, whose events are sent when it ends."""
        self.call(emulator, SCRIPT.format(options=options, pause=pause)).check_returncode()

    def call(self, emulator, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program in a process of its own, and return what became of it."""
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=Path(__file__).parents[2],
            env=self._server.environment() | emulator.environment(),
            check=False,
            capture_output=True,
            text=True,
        )

    def events(self, last: str):
        """Return our events, in their order, once the session's last one is there."""
        wait_until(lambda: any(it.event == f"qsession.session.{last}" for it in self._read()))
        return self._read()

    def releases(self):
        """Return the events of released sessions, once there is one."""
        return [it for it in self.events("released") if it.event.endswith(".released")]

    def _read(self):
        wanted = EventFilter(
            event=EventNameFilter(prefix=["qsession."]),
            occurred=EventOccurredFilter(since=self._began),
        )
        with SyncPrefectClient(self._server.url) as client:
            found = client.read_events(wanted, limit=50).events
        return sorted(found, key=lambda event: event.occurred)


def about_session(event) -> bool:
    """Whether the event is about a session, not a job of it."""
    return event.resource.id.startswith("qsession.session.")


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory):
    """Start a server for most of these tests."""
    with PrefectServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(prefect_server):
    """Return the server, with the events of this test alone."""
    return Server(prefect_server)


@pytest.fixture
def protected_server(tmp_path):
    """Start a server that is protected against cross-site requests."""
    protection = {"PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true"}
    with PrefectServer(tmp_path / "server", **protection) as server:
        yield Server(server)


def test_what_happens_to_a_session_is_an_event(server, make_emulator):
    """Opened, lost, opened anew, released: of the session, related to its run and backend."""
    timing = TimingSettings(fixed_seconds=30)
    emulator = make_emulator(timing=timing, time_scale=60)

    server.run(emulator, pause=3.0, max_time="90s")

    first, second = (f"qsession.session.{session.id}" for session in emulator.sessions)
    told = [(it.event, it.resource.id) for it in server.events("released") if about_session(it)]
    assert [
        ("qsession.session.opened", first),
        ("qsession.session.lost", first),
        ("qsession.session.opened", second),
        ("qsession.session.releasing", second),
        ("qsession.session.released", second),
    ] == [it for it in told if it[0] != "qsession.session.started"]
    assert told.index(("qsession.session.started", first)) == 1
    [*_, released] = server.events("released")
    assert {"state": "closed", "by": "process"}.items() <= released.payload.items()
    assert ("closed", "process") == (
        released.resource["qsession.state"],
        released.resource["qsession.by"],
    )
    roles = {resource.role: resource.id for resource in released.related}
    assert roles["backend"] == "qsession.backend.ibm_manila"
    assert roles["flow-run"].startswith("prefect.flow-run.")


def test_what_becomes_of_a_job_is_an_event(server, make_emulator):
    """Of the job, related to its session; and of the task run that asked for it."""
    emulator = make_emulator()

    server.run(emulator)

    [session] = emulator.sessions
    for job in emulator.jobs:
        of_job = [
            it for it in server.events("released") if it.resource.id == f"qsession.job.{job.id}"
        ]
        assert ["qsession.job.submitted", "qsession.job.completed"] == [it.event for it in of_job]
        assert all(
            f"qsession.session.{session.id}" in {resource.id for resource in it.related}
            for it in of_job
        )


def test_a_fallback_is_an_event_of_the_flow_run(server, make_emulator):
    """With the mode that was refused, the one instead, and the service's reason."""
    emulator = make_emulator(instances=(InstanceSettings(plan="open"),))

    server.run(emulator, mode="auto", fallback="job")

    [fallback] = [it for it in server.events("released") if it.event == "qsession.mode.fallback"]
    assert fallback.resource.id.startswith("prefect.flow-run.")
    assert {"mode": "session", "instead": "job"}.items() <= fallback.payload.items()
    assert "1352" in fallback.payload["reason"]


def die(server, emulator) -> str:
    """Have a flow's process die with its session open; return the id of the flow run."""
    save = (
        "from prefect_qsession import QiskitRuntimeCredentials as Q; "
        "Q.from_environment().save('emulated')"
    )
    server.call(emulator, save).check_returncode()
    return server.call(emulator, DIES).stdout.strip()


@pytest.mark.slow
def test_a_session_that_a_guardian_cancelled_is_one_event(server, make_emulator):
    """The guardian emits it by itself, for a script too; the hook, which may follow, adds none."""
    emulator = make_emulator()
    flow_run_id = die(server, emulator)
    [first] = server.releases()
    for _ in range(2):
        server.call(emulator, HOOK, flow_run_id).check_returncode()

    [released] = server.releases()
    labels = released.resource
    assert ("cancelled", "guardian") == (labels["qsession.state"], labels["qsession.by"])
    assert f"prefect.flow-run.{flow_run_id}" in {it.id for it in released.related}
    assert first.id == released.id


@pytest.mark.slow
def test_what_a_guardian_could_not_tell_the_hook_tells(protected_server, make_emulator):
    """An API that is protected against cross-site requests takes nothing of the guardian."""
    emulator = make_emulator()
    flow_run_id = die(protected_server, emulator)
    wait_until(lambda: ["cancel"] == [session.ended_by for session in emulator.sessions])
    for _ in range(2):
        protected_server.call(emulator, HOOK, flow_run_id).check_returncode()

    [released] = protected_server.releases()
    assert "guardian" == released.resource["qsession.by"]
