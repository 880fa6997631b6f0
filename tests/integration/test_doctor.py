"""`qsession doctor` against a real Prefect server and the emulator: whatever may be wrong."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO

import pytest
from prefect import flow, get_client
from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.events.actions import ChangeFlowRunState
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from rich.console import Console

from prefect_qsession import QiskitRuntimeCredentials, SessionPolicy, cli
from prefect_qsession.cli.doctor import print_findings
from prefect_qsession.doctor import CheckStanding, Finding
from prefect_qsession.emulator import DeviceSettings, InstanceSettings
from prefect_qsession.release.ledger import PrefectLedger
from prefect_qsession.release.processes import this_process
from tests.memory_ledger import make_entry

KEY = "emulated-key-7c1f5a9e2d4b"


@pytest.fixture
def doctor(capsys):
    """Ask the doctor; return its findings by what they are about, and its exit status."""

    def ask(*arguments) -> tuple[dict[str, Finding], int]:
        capsys.readouterr()
        status = cli.main(["doctor", *arguments, "--json"])
        text = capsys.readouterr().out
        assert KEY not in text
        told = json.loads(text)
        findings = [
            Finding(each["check"], CheckStanding(each["standing"]), each["found"], each["advice"])
            for each in told["findings"]
        ]
        assert told["problem"] == sum(each.standing == "problem" for each in findings)
        assert all(
            (each.advice is None) == (each.standing in ("ok", "skipped")) for each in findings
        )
        return {each.check: each for each in findings}, status

    return ask


@pytest.fixture
def account(make_emulator, save_block):
    """Start an emulator of given settings that knows the key, and save a block for it."""

    def start(plan="premium", **settings) -> str:
        instance = InstanceSettings(
            plan=plan,
            api_keys=(KEY,),
            usage_limit_seconds=settings.pop("usage_limit_seconds", None),
        )
        return save_block(make_emulator(instances=(instance,), **settings))

    return start


def standings(findings: dict[str, Finding], *checks: str) -> list[str]:
    """Return how these stand."""
    return [findings[check].standing.value for check in checks]


def test_where_all_is_well_the_doctor_says_so(doctor, account):
    """Versions, API, block, account, plan, backend and clock; exit status 0."""
    findings, status = doctor(account(), "--backend", "ibm_manila")

    assert 0 == status
    assert {"ok"} == {
        finding.standing.value
        for check, finding in findings.items()
        if check not in ("reaper", "lost heartbeats")
    }
    assert {"prefect", "qiskit", "qiskit-ibm-runtime"} <= set(findings)
    assert "emulated, premium plan" == findings["instance"].found
    assert findings["backend"].found.startswith("ibm_manila, 5 qubits")
    assert "as that of the Prefect API and the Runtime service" == findings["clock"].found


# -- the Prefect API


def test_without_an_api_url_nothing_else_is_looked_at(doctor):
    """A server of each process's own keeps no ledger that another finds."""
    with temporary_settings({PREFECT_API_URL: None}):
        findings, status = doctor()

    assert 1 == status
    assert "PREFECT_API_URL is not set" in findings["Prefect API"].found
    assert ["skipped"] * 4 == standings(findings, "block", "credentials", "backend", "reaper")


def test_an_api_that_is_away_is_named_without_its_password(doctor):
    """The address says where; a password in it is nobody's business."""
    with temporary_settings({PREFECT_API_URL: f"http://me:{KEY}@127.0.0.1:1/api"}):
        findings, status = doctor()

    assert 1 == status
    assert "http://127.0.0.1:1/api cannot be reached" in findings["Prefect API"].found


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Run a server that gives one answer to everything, and return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "PREFECT_API_AUTH_STRING"), (405, "ends in /api")]
)
def test_an_api_that_refuses_us_is_told_from_one_that_is_none(status, advice, doctor):
    """And what we have sent it is not repeated."""
    with (
        answering(status) as url,
        temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: f"me:{KEY}"}),
    ):
        findings, exit_status = doctor()

    assert 1 == exit_status
    assert str(status) in findings["Prefect API"].found
    assert advice in findings["Prefect API"].advice


# -- the block and the policy


def test_a_block_that_does_not_exist_is_a_problem(doctor):
    """With how to save one; what needs it is skipped."""
    findings, status = doctor("no-such-block")

    assert 1 == status
    assert "No QiskitRuntimeCredentials block named 'no-such-block'" in findings["block"].found
    assert "save('no-such-block')" in findings["block"].advice
    assert ["skipped", "skipped"] == standings(findings, "credentials", "modes")


def test_without_a_name_the_only_saved_block_is_looked_at(doctor, account, monkeypatch):
    """None is a problem, one is taken, of several none is guessed; a setting names one."""
    with get_client(sync_client=True) as client:
        slug = QiskitRuntimeCredentials.get_block_type_slug()
        for document in client.read_block_documents_by_type(slug):
            client.delete_block_document(document.id)
    none, _ = doctor()
    first = account()
    one, _ = doctor()
    second = account()
    several, status = doctor()
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS", second)
    named, _ = doctor()

    assert "problem" == none["block"].standing
    assert ("ok", first) == (one["block"].standing, one["block"].found)
    assert (0, "warning") == (status, several["block"].standing)
    assert ("ok", second) == (named["block"].standing, named["block"].found)


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("POLICY", "no-such-policy", "No SessionPolicy block named 'no-such-policy'"),
        ("MODE", "sessions", "mode 'sessions' is not made of these"),
        ("REOPEN", "often", "these settings are of the wrong kind: reopen"),
        ("CONCURRENCY_LIMIT", "no-such-limit", "no global concurrency limit 'no-such-limit'"),
    ],
)
def test_a_policy_that_cannot_be_is_named(variable, value, found, doctor, account, monkeypatch):
    """Whatever of it is wrong, and without an effect on what else is looked at."""
    monkeypatch.setenv(f"PREFECT_INTEGRATIONS_QSESSION_{variable}", value)
    findings, status = doctor(account())

    assert 1 == status
    assert found in findings["policy"].found
    assert ["ok", "ok"] == standings(findings, "credentials", "backend")


# -- the account


def test_a_refused_key_is_a_problem(doctor, account, save_block, emulator):
    """The rest of the account is skipped."""
    findings, status = doctor(save_block(emulator, api_key=KEY))

    assert 1 == status
    assert "does not accept the API key" in findings["credentials"].found
    assert ["skipped"] * 4 == standings(findings, "instance", "usage", "modes", "backend")


def test_an_instance_that_the_key_does_not_open_is_a_problem(doctor, save_block, emulator):
    """Told apart from a bad key."""
    findings, status = doctor(save_block(emulator, instance="somebody-elses"))

    assert 1 == status
    assert ["ok", "problem"] == standings(findings, "credentials", "instance")
    assert "'somebody-elses'" in findings["instance"].found


def test_a_service_that_is_away_is_a_problem(doctor, make_emulator, save_block):
    """It says nothing of the key."""
    emulator = make_emulator()
    block = save_block(emulator)
    emulator.stop()
    findings, status = doctor(block)

    assert 1 == status
    assert "the Runtime service cannot be reached" in findings["credentials"].found


@pytest.mark.parametrize(("mode", "status"), [("session", 1), ("auto", 0)])
def test_an_open_plan_has_no_sessions(mode, status, doctor, account, monkeypatch):
    """Flows that insist on one fail; auto runs, and may be told why its batches are refused."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_MODE", mode)
    findings, exit_status = doctor(account("open"))

    assert status == exit_status
    assert ("problem" if status else "warning") == findings["modes"].standing


def test_a_saved_policy_is_what_the_plan_is_compared_with(doctor, account, monkeypatch):
    """As flows here will have it."""
    SessionPolicy(mode="auto", max_time="10m").save("for-the-open-plan", overwrite=True)
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_POLICY", "for-the-open-plan")
    findings, _ = doctor(account("open"))

    assert ["ok", "ok"] == standings(findings, "policy", "modes")


def test_an_instance_without_time_left_is_a_problem(doctor, account):
    """Its limit is reached before any job of ours."""
    findings, status = doctor(account(usage_limit_seconds=0))

    assert (1, "problem") == (status, findings["usage"].standing)


@pytest.mark.parametrize(
    ("name", "standing", "found"),
    [
        ("ibm_offline", "problem", "ibm_offline takes no jobs now"),
        ("ibm_paused", "warning", "maintenance"),
        ("ibm_manilla", "problem", "ibm_manila"),
    ],
)
def test_a_backend_that_runs_nothing_is_told(name, standing, found, doctor, account):
    """Offline, under maintenance, or misspelt: then with the names there are."""
    devices = (
        DeviceSettings("ibm_manila", "manila"),
        DeviceSettings("ibm_offline", "manila", status="offline"),
        DeviceSettings("ibm_paused", "manila", status="paused"),
    )
    findings, _ = doctor(account(devices=devices), "--backend", name)

    assert standing == findings["backend"].standing
    assert found in findings["backend"].found


# -- who watches


@flow(name="reap-sessions")
def stands_for_the_reaper() -> None:
    """Have the name of the reaper's flow."""


def test_a_reaper_is_looked_for_with_its_schedule_and_who_runs_it(doctor, block):
    """Not there; there, but served by nobody; there and served."""
    with get_client(sync_client=True) as client:
        # Other tests deploy it to this server, too.
        for deployed in client.read_deployments():
            client.delete_deployment(deployed.id)
        absent, _ = doctor(block)
        every_minute = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=60), active=True)
        deployment = client.create_deployment(
            client.create_flow(stands_for_the_reaper), "every-minute", schedules=[every_minute]
        )
        forgotten, _ = doctor(block)
        # As a runner does, every few seconds.
        client.get_scheduled_flow_runs_for_deployments([deployment])
        served, status = doctor(block)
        client.delete_deployment(deployment)

    assert ["warning"] * 2 == [absent["reaper"].standing, forgotten["reaper"].standing]
    assert "every-minute: scheduled, but nobody runs it" == forgotten["reaper"].found
    assert (0, "every-minute, scheduled and served") == (status, served["reaper"].found)


def test_the_automation_for_lost_heartbeats_is_looked_for(doctor, block):
    """By what it does, whatever its name; one that is turned off does nothing."""
    calls_it_a_crash = AutomationCore(
        name="by-any-name",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            within=timedelta(minutes=10),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED)],
    )
    without, _ = doctor(block)
    with get_client(sync_client=True) as client:
        created = client.create_automation(calls_it_a_crash)
        having, _ = doctor(block)
        client.pause_automation(created)
        turned_off, _ = doctor(block)
        client.delete_automation(created)

    assert "called crashes by by-any-name" == having["lost heartbeats"].found
    assert ["warning"] * 2 == [
        findings["lost heartbeats"].standing for findings in (without, turned_off)
    ]


def test_a_session_that_was_left_open_is_counted(doctor, block):
    """Its flow run does not exist, and its process is gone."""
    entry = make_entry(process=replace(this_process(), start_ticks=1))
    PrefectLedger().record(entry)
    findings, status = doctor(block)
    PrefectLedger().forget(entry.session_id)

    assert 0 == status
    assert "1 of 1 recorded sessions left open" == findings["ledger"].found


# -- for people


@pytest.mark.parametrize("width", [60, 100])
def test_the_table_lines_up(width):
    """Whatever is said, it stays in its column, and no line is longer than the terminal."""
    long = "the Runtime service cannot be reached, " * 5
    output = StringIO()
    findings = [
        Finding("qiskit-ibm-runtime", CheckStanding.OK, "0.51.0"),
        Finding("credentials", CheckStanding.PROBLEM, long, long),
        Finding("clock", CheckStanding.SKIPPED, "not asked"),
    ]
    print_findings(findings, Console(file=output, width=width, force_terminal=False))
    lines = output.getvalue().splitlines()
    column = lines[0].index("FOUND")

    assert max(map(len, lines)) <= width
    assert "1 problem to mend first." == lines[-1]
    assert all(
        not line[:column].strip() or line[column - 2 : column] == "  " for line in lines[1:-2]
    )


def test_the_table_is_what_people_get(doctor, block, capsys):
    """Without `--json`; whatever is well is said too."""
    status = cli.main(["doctor", block])
    text = capsys.readouterr().out

    assert 0 == status
    assert "credentials         ok" in text
    assert "Session flows run" in text.splitlines()[-1]
