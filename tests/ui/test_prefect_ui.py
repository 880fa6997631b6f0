"""Prefect's UI in a real browser, both versions: forms, a run's page, a cancellation."""

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
)
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from demo.servers import ROOT, PrefectServer
from prefect_qsession import QiskitRuntimeCredentials, SessionPolicy
from prefect_qsession.cli.live import picture
from prefect_qsession.emulator import Emulator, EmulatorSettings, TimingSettings
from prefect_qsession.emulator.rules.records import SessionRecord
from tests.harness.postgresql import database_where_installed
from tests.harness.waiting import wait_until
from tests.ui.prefect_ui import LONG_SECONDS, PrefectUI
from tests.ui.serving import DEPLOYMENT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

BLOCK = "watched"
ENOUGH_FOR_A_CURVE = 5
"""Jobs."""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[PrefectServer]:
    """Run a Prefect server with both user interfaces, which these tests and their flows use."""
    directory = tmp_path_factory.mktemp("prefect") / "home"
    with (
        database_where_installed() as database,
        PrefectServer(directory, **database) as server,
        temporary_settings({PREFECT_API_URL: server.url}),
    ):
        yield server


class Pace:
    """A service whose time runs, but for when somebody looks: a busy machine looks slowly."""

    TICK_SECONDS = 0.1

    def __init__(self, service: Emulator) -> None:
        self._service = service
        self._runs = threading.Event()
        self._runs.set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._tick)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._is_over.set()
        self._runs.set()
        self._thread.join()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have no job end meanwhile."""
        self._runs.clear()
        yield
        self._runs.set()

    def _tick(self) -> None:
        while not self._is_over.wait(self.TICK_SECONDS):
            self._runs.wait()
            self._service.clock.advance(self.TICK_SECONDS)


@pytest.fixture(scope="module")
def service(simulators) -> Iterator[Emulator]:
    """Run an emulator on which a job takes long enough to be looked at."""
    settings = EmulatorSettings(hand_clock=True, timing=TimingSettings(fixed_seconds=1.0))
    with Emulator(settings, simulators=simulators) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def pace(service) -> Iterator[Pace]:
    """Have the service's time run."""
    with Pace(service) as pace:
        yield pace


@pytest.fixture(scope="module")
def deployment(server, service) -> Iterator[object]:
    """Serve the VQE from a process, with a block for the emulator, and return its deployment."""
    QiskitRuntimeCredentials.from_environment(service.environment()).save(BLOCK, overwrite=True)
    environment = server.environment() | {
        "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS": BLOCK,
        "PREFECT_INTEGRATIONS_QSESSION_BACKEND": "ibm_manila",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ui.serving"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as serving:
        try:
            assert any("being served" in line for line in serving.stdout), "it ended at once"
            with get_client(sync_client=True) as client:
                yield client.read_deployment_by_name(DEPLOYMENT)
        finally:
            serving.terminate()


@pytest.fixture(scope="module")
def registered(server) -> None:
    """Have the server know our blocks, so that it has forms for them."""
    subprocess.run(
        [sys.executable, "-m", "prefect", "block", "register", "--module", "prefect_qsession"],
        env=server.environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )


@pytest.fixture(params=["v1", "v2"])
def ui(request, browser, server) -> Iterator[PrefectUI]:
    """Open one of Prefect's two user interfaces in a tab."""
    page = browser.open_page()
    page.resize(1280, 960)
    page.prefer("light")
    yield PrefectUI(request.param, page, server.url.removesuffix("/api"))
    page.close()


def runs_of(deployment) -> list[FlowRun]:
    """Return the deployment's flow runs, the newest first."""
    ours = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]))
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=ours, sort="EXPECTED_START_TIME_DESC")


def wait_for_session(service: Emulator, earlier: int, flow_run: FlowRun) -> SessionRecord:
    """Return the session of a flow run as soon as there is one more than the earlier ones."""

    def is_there() -> bool:
        if len(service.sessions) > earlier:
            return True
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(flow_run.id).state
        assert not state.is_final(), f"it ended without a session: {state!r}"
        return False

    wait_until(is_there, LONG_SECONDS)
    return service.sessions[-1]


def take_picture_of_terminal(service: Emulator, file: Path) -> None:
    """Save what `qsession emulator start` would show of the emulator at this moment."""
    screen = Console(file=io.StringIO(), width=100, height=30, record=True)
    screen.print(picture(service.overview, 30))
    screen.save_svg(str(file), title="qsession emulator start")


def wait_for_artifact(flow_run: FlowRun, key: str, *texts: str) -> UUID:
    """Return the id of a flow run's artifact of a key, as soon as it has these texts."""
    ours = ArtifactFilter(
        key=ArtifactFilterKey(any_=[key]),
        flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run.id]),
    )
    found: list[Artifact] = []

    def is_there() -> bool:
        with get_client(sync_client=True) as client:
            found[:] = client.read_artifacts(artifact_filter=ours)
        return bool(found) and all(text in str(found[0].data) for text in texts)

    wait_until(is_there)
    return found[0].id


def jobs_of(service: Emulator, session_id: str) -> list[str]:
    """Return the ids of a session's jobs, the first one first."""
    return [job.id for job in service.jobs if job.session_id == session_id]


def state_of(flow_run: FlowRun) -> str:
    """Return the name of a flow run's state at this moment."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(flow_run.id).state.name


def test_a_credentials_block_is_filled_in_and_saved(ui, registered, service, pictures):
    """What is typed into the form is what flows load, and nobody is shown the key again."""
    environment = service.environment()
    name = f"typed-in-{ui.version}"
    ui.create_block(
        "qiskit-runtime-credentials",
        name,
        {
            "Runtime URL": environment["QISKIT_IBM_URL"],
            "IAM URL": environment["IAM_URL"],
            "Resource search URL": environment["GLOBAL_SEARCH_URL"],
            "Catalogue URL": environment["GLOBAL_CATALOG_URL"],
            "Instance": environment["QISKIT_IBM_INSTANCE"],
            "API key": environment["QISKIT_IBM_TOKEN"],
        },
    )
    ui.page.photograph(pictures / f"block_form_{ui.version}.png")
    ui.save_block()
    wait_until(lambda: "/blocks/block/" in ui.page.evaluate("location.href"))
    wait_until(lambda: ui.page.shows("********"))
    typed = QiskitRuntimeCredentials.load(name)

    assert QiskitRuntimeCredentials.from_environment(environment).account() == typed.account()
    assert "ibm_manila" in {backend.name for backend in typed.get_service().backends()}
    assert not ui.page.shows(environment["QISKIT_IBM_TOKEN"])


def test_a_session_policy_is_filled_in_and_saved(ui, registered, pictures):
    """What an operator types is the policy that flow runs take; what is left out says nothing."""
    name = f"careful-{ui.version}"
    ui.create_block("qiskit-session-policy", name, {"Maximum time": "2h 30m", "QPU budget": "10m"})
    ui.page.photograph(pictures / f"policy_form_{ui.version}.png")
    ui.save_block()
    wait_until(lambda: "/blocks/block/" in ui.page.evaluate("location.href"))
    typed = SessionPolicy.load(name)

    assert ("2h 30m", "10m") == (typed.max_time, typed.qpu_budget)
    assert (None, None) == (typed.session_budget, typed.concurrency_limit)


def test_a_run_is_started_from_its_form_and_watched(ui, deployment, service, pace, pictures):
    """Its report, its curve and its events are seen while it runs, its table of jobs after."""
    earlier = len(runs_of(deployment))
    earlier_sessions = len(service.sessions)
    ui.run_deployment(deployment.id, {"max_evaluations": "30"})
    wait_until(lambda: len(runs_of(deployment)) > earlier)
    flow_run = runs_of(deployment)[0]
    session = wait_for_session(service, earlier_sessions, flow_run)
    wait_until(lambda: len(jobs_of(service, session.id)) > ENOUGH_FOR_A_CURVE, LONG_SECONDS)
    with pace.stopped():
        ui.visit_run(flow_run.id)
        wait_until(lambda: ui.page.shows(session.id) and ui.page.has("canvas"))
        ui.page.photograph(pictures / f"run_while_it_runs_{ui.version}.png")
        ui.visit_artifact(wait_for_artifact(flow_run, "session-report", session.id, "energy"))
        wait_until(lambda: ui.page.shows(session.id) and ui.page.pictures())
        ui.page.photograph(pictures / f"report_while_it_runs_{ui.version}.png")
        ui.wait_for_event(flow_run.id, "qsession.job.completed")
        seen_while = state_of(flow_run)

    wait_until(lambda: "Completed" == state_of(flow_run), LONG_SECONDS)
    ui.visit_run(flow_run.id)
    wait_until(lambda: ui.page.shows("Completed") and ui.page.shows(session.id))
    wait_until(lambda: ui.page.has("canvas"))
    ui.page.photograph(pictures / f"run_after_{ui.version}.png")
    ui.wait_for_event(flow_run.id, "qsession.session.released")
    ui.page.scroll_to("qsession.session.released")
    ui.page.photograph(pictures / f"events_{ui.version}.png")
    take_picture_of_terminal(service, pictures / "terminal.svg")
    [first, *_] = jobs_of(service, session.id)
    ui.visit_artifact(wait_for_artifact(flow_run, "session-jobs", first))
    wait_until(lambda: ui.page.shows(first))
    ui.page.photograph(pictures / f"jobs_{ui.version}.png")
    ui.visit_artifact(wait_for_artifact(flow_run, "session-report", session.id, "**closed**"))
    wait_until(lambda: ui.page.shows(session.id) and len(ui.page.pictures()) == 2)
    for scheme in ("dark", "light"):
        ui.page.prefer(scheme)
        ui.page.photograph(pictures / f"report_{scheme}_{ui.version}.png")

    assert 30 == flow_run.parameters["max_evaluations"]
    assert "Running" == seen_while
    assert ui.page.shows("closed")
    assert "close" == service.sessions[-1].ended_by


def test_a_run_that_is_cancelled_in_the_ui_has_its_session_cancelled(ui, deployment, service, pace):
    """By the emulator's record, before its jobs are through."""
    earlier = len(service.sessions)
    flow_run = run_deployment(DEPLOYMENT, parameters={"max_evaluations": 500}, timeout=0)
    session = wait_for_session(service, earlier, flow_run)
    ui.visit_run(flow_run.id)
    wait_until(lambda: ui.page.shows(session.id))
    ui.cancel_run()
    wait_until(lambda: service.sessions[-1].ended_by, LONG_SECONDS)
    wait_until(lambda: "Cancelled" == state_of(flow_run), LONG_SECONDS)

    assert (session.id, "cancel") == (service.sessions[-1].id, service.sessions[-1].ended_by)
