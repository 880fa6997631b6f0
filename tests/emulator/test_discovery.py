"""How an unmodified client finds its instance and its devices."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from qiskit_ibm_runtime import QiskitRuntimeService, Session
from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMInputValueError, IBMNotAuthorizedError, IBMRuntimeError

from prefect_qsession.emulator import DeviceSettings, InstanceSettings

from .conftest import legacy_sampler, one_bit

OTHER = InstanceSettings(
    crn="crn:v1:bluemix:public:quantum-computing:us-east:a/00:other::",
    name="other",
    plan="open",
    api_keys=("other-key",),
)


def test_environment_variables_are_all_the_client_needs(service):
    """A service made without arguments sees the instance, its plan and its devices."""
    [instance] = service.instances()

    assert ("emulated", "premium") == (instance["name"], instance["plan"])
    assert ["ibm_sherbrooke", "ibm_manila"] == [b.name for b in service.backends()]


@pytest.mark.parametrize(("name", "qubits"), [("ibm_sherbrooke", 127), ("ibm_manila", 5)])
def test_devices_have_their_real_size_and_data(service, name, qubits):
    """A device has a target, a configuration and properties of full size."""
    backend = service.backend(name)

    assert qubits == backend.num_qubits == backend.target.num_qubits
    assert name == backend.configuration().backend_name == backend.properties().backend_name
    assert qubits == len(backend.properties().qubits)


def test_a_wrong_key_is_refused_by_iam_in_ibms_form(emulator, connect, monkeypatch):
    """IAM answers a key it does not know with status 400 and its own error code."""
    form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "wrong"}

    answer = requests.post(f"{emulator.url}/identity/token", data=form, timeout=5)

    assert (400, "BXNIM0415E") == (answer.status_code, answer.json()["errorCode"])
    connect(emulator)
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "wrong")
    with pytest.raises(InvalidAccountError, match="Unable to retrieve instances"):
        QiskitRuntimeService()


def test_an_instance_of_another_key_is_out_of_reach(make_emulator, connect, monkeypatch):
    """A key opens the instances it belongs to, and the client says so of any other."""
    emulator = make_emulator(instances=(InstanceSettings(), OTHER))
    connect(emulator)
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", OTHER.crn)

    with pytest.raises(IBMInputValueError, match="does not have access to the instance"):
        QiskitRuntimeService()


@pytest.mark.parametrize(
    ("crn", "status", "code"), [(OTHER.crn, 403, 1200), ("crn:unknown", 404, 1279)]
)
def test_a_foreign_or_unknown_instance_is_refused_on_every_call(make_emulator, crn, status, code):
    """The runtime API checks on its own that the token opens the instance in the header."""
    emulator = make_emulator(instances=(InstanceSettings(), OTHER))
    headers = {"Authorization": "apikey emulator-api-key", "Service-CRN": crn}

    answer = requests.get(f"{emulator.runtime_url}/backends", headers=headers, timeout=5)

    assert (status, code) == (answer.status_code, answer.json()["errors"][0]["code"])


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer a.b.c", "Bearer é", "apikey wrong", "Basic eA=="]
)
def test_what_is_no_valid_token_is_refused(emulator, authorization):
    """Without a token of this service's IAM every call ends in 401."""
    headers = {"Service-CRN": emulator.settings.instances[0].crn}
    if authorization is not None:
        headers["Authorization"] = authorization.encode()

    answer = requests.get(f"{emulator.runtime_url}/backends", headers=headers, timeout=5)

    assert (401, 1201) == (answer.status_code, answer.json()["errors"][0]["code"])


def test_a_token_of_another_emulator_is_not_valid_here(make_emulator, connect):
    """Tokens are signed: one service's token means nothing to another, even with the same keys."""
    first, second = make_emulator(), make_emulator()
    client = connect(first)
    token = client._get_api_client()._session.auth.tm.get_token()
    crn = first.settings.instances[0].crn
    headers = {"Authorization": f"Bearer {token}", "Service-CRN": crn}

    answers = [
        requests.get(f"{emulator.runtime_url}/backends", headers=headers, timeout=5).status_code
        for emulator in (first, second)
    ]

    assert [200, 401] == answers


def test_a_client_with_a_stale_token_is_not_authorized(service, monkeypatch):
    """The client reports a refused token as such, from any call."""
    client = service._get_api_client()
    monkeypatch.setattr(client._session.auth.tm, "get_token", lambda: "stale")

    with pytest.raises(IBMNotAuthorizedError):
        client.cloud_usage()


def test_several_instances_are_told_apart(make_emulator, connect):
    """Jobs and usage of one instance are not seen from another."""
    both = InstanceSettings(crn="crn:v1:bluemix:public:quantum-computing:us-east:a/00:two::")
    emulator = make_emulator(instances=(InstanceSettings(), both))
    first, second = connect(emulator), connect(emulator, both)
    job = legacy_sampler(first.backend("ibm_manila")).run([one_bit()])
    job.result()

    assert [job.job_id()] == [j.job_id() for j in first.jobs(session_id=None)]
    with pytest.raises(RequestsApiError, match="Job not found"):
        second._get_api_client(both.crn).job_get(job.job_id())
    session = Session(backend=first.backend("ibm_manila"))
    for attempt in ("session_details", "cancel_session"):
        with pytest.raises(RequestsApiError, match="Session not found") as refusal:
            getattr(second._get_api_client(both.crn), attempt)(session.session_id)
        assert 404 == refusal.value.status_code
    assert [None] == emulator.outcomes


def test_the_open_plan_refuses_dedicated_sessions_with_code_1352(make_emulator, connect):
    """A dedicated session on the Open plan is refused with IBM's words; a job runs."""
    emulator = make_emulator(instances=(OTHER,))
    backend = connect(emulator).backend("ibm_manila")

    with pytest.raises(RequestsApiError) as refusal:
        Session(backend=backend)

    assert 400 == refusal.value.status_code
    assert '"code":1352' in str(refusal.value)
    assert "You are not authorized to run a session when using the open plan." in str(refusal.value)
    assert 600 == emulator_job_limit(backend)


def emulator_job_limit(backend) -> int:
    """Return the time limit the service stamps on a job that names none."""
    job = legacy_sampler(backend).run([one_bit()])
    return backend.service._get_api_client().job_get(job.job_id())["cost"]


def test_an_offline_device_says_so_and_refuses_work(make_emulator, connect):
    """An offline device is listed as not operational, and neither jobs nor sessions get in."""
    devices = (
        DeviceSettings("ibm_manila", "manila", status="offline"),
        DeviceSettings("ibm_quito", "quito"),
    )
    service = connect(make_emulator(devices=devices))
    backend = service.backend("ibm_manila")

    assert backend.status().operational is False
    assert ["ibm_quito"] == [b.name for b in service.backends(operational=True)]
    assert "ibm_quito" == service.least_busy().name
    with pytest.raises(IBMRuntimeError, match='"code":1004'):
        legacy_sampler(backend).run([one_bit()])
    with pytest.raises(RequestsApiError, match='"code":1004'):
        Session(backend=backend)


def test_a_device_in_maintenance_keeps_its_jobs_queued(make_bench):
    """A paused device is operational, warns, accepts jobs and runs none."""
    devices = (DeviceSettings("ibm_manila", "manila", status="paused"),)
    bench = make_bench(devices=devices)
    with pytest.warns(UserWarning, match="maintenance"):
        job = bench.submit()

    bench.clock.advance(3600)

    status = bench.backend.status()
    assert "QUEUED" == job.status()
    assert (True, "maintenance", 1) == (status.operational, status.status_msg, status.pending_jobs)


def test_a_device_goes_into_maintenance_and_comes_back_on_demand(bench):
    """What runs goes on, what is queued waits until the device is back, and then runs."""
    jobs = [bench.submit() for _ in range(2)]
    bench.emulator.set_device_status("ibm_manila", "paused")
    bench.clock.advance(3600)
    meanwhile = bench.statuses()
    bench.emulator.set_device_status("ibm_manila", "online")

    assert ["Completed", "Queued"] == meanwhile
    assert "RUNNING" == jobs[1].status()


def test_a_device_goes_offline_by_the_control_routes(bench):
    """From then on it refuses work; other words than the three, and other devices, are refused."""
    url = f"{bench.emulator.url}/emulator/devices"
    answers = [
        requests.put(f"{url}/{name}", json={"status": status}, timeout=5).status_code
        for name, status in (
            ("ibm_manila", "broken"),
            ("ibm_nowhere", "offline"),
            ("ibm_manila", "offline"),
        )
    ]

    assert [400, 400, 204] == answers
    with pytest.raises(IBMRuntimeError, match='"code":1004'):
        bench.submit()


def test_an_unknown_device_is_answered_in_bare_text(emulator, service):
    """A device the service does not have is the one 404 without IBM's error document."""
    with pytest.raises(RequestsApiError) as refusal:
        service._get_api_client().backend_status("ibm_nowhere")

    assert 404 == refusal.value.status_code
    assert "device not found" in str(refusal.value)


def test_an_unknown_calibration_is_refused(service):
    """There is one calibration of each device; naming another is an error, not ignored."""
    with pytest.raises(RequestsApiError, match="calibration_id old is unknown"):
        service._get_api_client().backend_configuration("ibm_manila", calibration_id="old")


def test_usage_grows_by_whole_seconds_up_to_the_limit(make_bench):
    """An instance's usage is what its jobs were charged, against its limit."""
    bench = make_bench(instances=(InstanceSettings(usage_limit_seconds=15),))
    bench.submit()
    bench.clock.advance(10)
    first = bench.service.usage()
    bench.submit()
    bench.clock.advance(10)
    second = bench.service.usage()

    assert (10, False) == (first["usage_consumed_seconds"], first["usage_limit_reached"])
    assert (20, True) == (second["usage_consumed_seconds"], second["usage_limit_reached"])
    assert 15 == second["usage_limit_seconds"]


def test_properties_from_before_the_snapshot_are_not_there(service):
    """A device's calibration is one snapshot; before it there is none."""
    backend = service.backend("ibm_manila")
    # As the file has it, 15:27:23-03:00; the client takes any other zone for its own.
    taken = datetime(2024, 5, 27, 18, 27, 23, tzinfo=UTC)

    assert backend.properties(datetime=taken) is not None
    assert backend.properties(datetime=taken - timedelta(seconds=1)) is None
    assert backend.properties(datetime=taken + timedelta(days=1)) is not None


def test_a_device_has_no_pulse_defaults(emulator, service):
    """The service still has the address, and nothing there."""
    session = service._get_api_client()._session

    assert session.get("/backends/ibm_manila/defaults").json() is None
    with pytest.raises(RequestsApiError, match="device not found"):
        session.get("/backends/ibm_nowhere/defaults")
