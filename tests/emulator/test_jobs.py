"""What a client may ask about jobs, and do to them."""

from datetime import datetime, timedelta

import numpy as np
import pytest
import qiskit
import requests
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobNotFound,
    RuntimeProgramNotFound,
)

from .conftest import HEADERS, one_bit


def post(service, **body):
    """Post a job as it stands; the client's own checks do not apply."""
    body = {"program_id": "sampler", "backend": "ibm_manila", "params": {"pubs": []}} | body
    return service._get_api_client()._session.post("/jobs", json=body).json()


def test_a_job_is_seen_queued_then_running_then_done(make_bench):
    """The client sees each state of a job in turn, and its times."""
    from prefect_qsession.emulator import QueueSettings  # noqa: PLC0415

    bench = make_bench(queue=QueueSettings(jobs_ahead=1, seconds_each=5))
    job = bench.submit()
    seen = [job.status()]
    for seconds in (5, 10):
        bench.clock.advance(seconds)
        seen.append(job.status())

    stamps = {k: datetime.fromisoformat(v) for k, v in job.metrics()["timestamps"].items()}
    assert ["QUEUED", "RUNNING", "DONE"] == seen
    assert timedelta(seconds=5) == stamps["running"] - stamps["created"]
    assert timedelta(seconds=10) == stamps["finished"] - stamps["running"]


def test_a_queued_job_is_cancelled_without_charge(bench):
    """A job cancelled in the queue costs nothing and has no result."""
    bench.submit()
    job = bench.submit()
    job.cancel()

    assert ("CANCELLED", 0) == (job.status(), job.usage())
    with pytest.raises(RuntimeInvalidStateError, match="Job was cancelled"):
        job.result()


def test_a_running_job_is_cancelled_and_charged_for_its_time(bench):
    """A job cancelled while it runs makes room at once and is charged for the time it had."""
    first, second = bench.submit(), bench.submit()
    bench.clock.advance(3.5)
    first.cancel()

    assert (["Cancelled", "Running"], 4) == (bench.statuses(), first.usage())
    assert "RUNNING" == second.status()


def test_a_job_of_a_session_can_be_cancelled_alone(bench):
    """Cancelling one queued job of a session leaves the others and the session as they are."""
    session = Session(backend=bench.backend)
    jobs = [bench.submit(session) for _ in range(3)]
    jobs[1].cancel()
    bench.clock.advance(20)

    assert ["Completed", "Cancelled", "Completed"] == bench.statuses()
    assert "active" == bench.session_record().state


def test_a_job_that_is_over_cannot_be_cancelled(bench):
    """Cancelling a finished job is refused with 409, which the client knows."""
    job = bench.submit()
    bench.clock.advance(10)

    with pytest.raises(RuntimeInvalidStateError, match="cannot be cancelled"):
        job.cancel()


def test_a_job_is_deleted_only_when_it_is_over(bench):
    """A running job cannot be deleted; a finished one can, and is not found afterwards."""
    job = bench.submit()
    with pytest.raises(IBMRuntimeError, match="cannot be deleted"):
        bench.service.delete_job(job.job_id())
    bench.clock.advance(10)
    bench.service.delete_job(job.job_id())

    with pytest.raises(RuntimeJobNotFound):
        bench.service.job(job.job_id())


def test_a_job_can_be_found_again_with_its_result(bench):
    """Another client gets a job by its id, with its tags, inputs and result."""
    submitted = bench.submit(environment={"job_tags": ["mine"]}, default_shots=10)
    bench.clock.advance(10)

    job = bench.service.job(submitted.job_id())

    assert (["mine"], "sampler", "ibm_manila") == (job.tags, job.primitive_id, job.backend().name)
    assert {"1": 10} == job.result()[0].data.c.get_counts()
    assert one_bit() == job.inputs["pubs"][0][0]


def test_jobs_are_listed_newest_first_by_every_filter(bench):
    """Each filter of the client's `jobs` selects exactly the jobs it should."""
    start = datetime.fromtimestamp(bench.clock.now()).astimezone()
    session = Session(backend=bench.backend)
    alone = bench.submit(environment={"job_tags": ["a", "b"]})
    bench.clock.advance(15)
    inside = bench.submit(session, environment={"job_tags": ["b"]})
    service = bench.service

    def listed(**filters) -> list[str]:
        names = {alone.job_id(): "alone", inside.job_id(): "inside"}
        return [names[job.job_id()] for job in service.jobs(**filters)]

    later = start + timedelta(seconds=10)
    assert ["inside", "alone"] == listed()
    assert ["alone", "inside"] == listed(descending=False)
    assert ["inside"] == listed(limit=1)
    assert ["alone"] == listed(skip=1)
    assert ["inside"] == listed(pending=True)
    assert ["alone"] == listed(pending=False)
    assert ["alone"] == listed(job_tags=["a", "b"])
    assert ["inside"] == listed(session_id=session.session_id)
    assert ["inside", "alone"] == listed(program_id="sampler", backend_name="ibm_manila")
    assert [] == listed(program_id="estimator")
    assert ["inside"] == listed(created_after=later)
    assert ["alone"] == listed(created_before=later)


def test_a_long_list_comes_in_pages_of_exact_count(bench):
    """The client gets every job of a list of several pages, and no request too many."""
    for _ in range(23):
        post(bench.service)

    assert 23 == len(bench.service.jobs(limit=None))
    assert 23 == bench.service._get_api_client().jobs_get(limit=5)["count"]


def test_tags_can_be_replaced_within_their_limits(bench):
    """Tags are replaced as a whole; nine of them, or one of 87 letters, are refused."""
    job = bench.submit()
    job.update_tags(["x" * 86])

    assert ["x" * 86] == bench.service.job(job.job_id()).tags
    for tags, code in ((["t"] * 9, 1204), (["x" * 87], 1205)):
        with pytest.raises(RequestsApiError, match=f'"code":{code}'):
            bench.service._get_api_client().update_tags(job.job_id(), tags)


def test_the_result_of_a_private_job_is_read_once(bench):
    """A private job gives its result the first time only, and its inputs never."""
    job = bench.submit(environment={"private": True}, default_shots=10)
    bench.clock.advance(10)

    assert {"1": 10} == job.result()[0].data.c.get_counts()
    assert job.result() is None
    assert {} == job.inputs


def test_a_circuit_the_device_cannot_run_is_accepted_and_fails_later(bench):
    """A circuit outside the device's instruction set fails when it runs, charged for set-up."""
    from qiskit_ibm_runtime import Executor, QuantumProgram  # noqa: PLC0415

    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    program = QuantumProgram(shots=10)
    program.append_circuit_item(circuit, circuit_arguments=np.empty(0))
    job = Executor(bench.backend).run(program)
    bench.clock.advance(2)

    with pytest.raises(RuntimeJobFailureError, match=r"1517.*not in the target"):
        job.result()
    assert 2 == job.usage()
    assert "'h' is not an instruction" in job.logs()


def test_two_qubit_gates_must_sit_on_coupled_qubits(bench):
    """A two-qubit gate between qubits that are not coupled is outside the instruction set."""
    from qiskit_ibm_runtime import Executor, QuantumProgram  # noqa: PLC0415

    circuit = QuantumCircuit(5, 1)
    circuit.cx(0, 4)
    circuit.measure(4, 0)
    program = QuantumProgram(shots=10)
    program.append_circuit_item(circuit, circuit_arguments=np.empty(0))
    job = Executor(bench.backend).run(program)
    bench.clock.advance(2)

    assert "ERROR" == job.status()
    assert "cannot act on qubits [0, 4]" in job.error_message()


def test_too_many_executions_fail_the_job(bench):
    """More than ten million executions are over the service's job limits."""
    job = bench.submit(default_shots=10_000_001)
    bench.clock.advance(2)

    assert "10000001 executions" in job.error_message()


def test_an_unknown_program_is_not_found(bench):
    """The client reports a program the service does not have as such."""
    options = {"backend": bench.backend, "instance": bench.backend._instance}
    with pytest.raises(RuntimeProgramNotFound):
        bench.service._run(program_id="nonsense", options=options, inputs={})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"backend": "ibm_nowhere"}, 1007),
        ({"session_id": "no-such-session"}, 1000),
        ({"session_id": "x" * 37}, 1208),
        ({"start_session": True}, 1208),
        ({"calibration_id": "old"}, 1208),
        ({"params": []}, 1208),
        ({"cost": 0}, 1208),
        ({"tags": "one"}, 1208),
    ],
)
def test_a_job_that_makes_no_sense_is_refused_with_a_code(bench, body, code):
    """Each part of a job's request is checked, and nothing is created when one is wrong."""
    with pytest.raises(RequestsApiError, match=f'"code":{code}'):
        post(bench.service, **body)

    assert [] == bench.emulator.jobs


def test_a_job_must_be_for_its_sessions_device(bench):
    """A session is on one device; a job for another is refused."""
    session = Session(backend=bench.backend)

    with pytest.raises(RequestsApiError, match="the session is on backend ibm_manila"):
        post(bench.service, backend="ibm_sherbrooke", session_id=session.session_id)


def test_the_metrics_name_the_software_a_job_came_from(bench):
    """The client says what it is, and the service passes it on."""
    headers = HEADERS | {"X-Qx-Client-Application": "qiskit-9.9.9/qiskit[_ibm_runtime~sampler.py]"}
    body = {"program_id": "sampler", "backend": "ibm_manila", "params": {"pubs": []}}
    url = f"{bench.emulator.runtime_url}/jobs"
    odd = requests.post(url, json=body, headers=headers, timeout=5).json()["id"]

    own, given = bench.submit().metrics(), bench.service.job(odd).metrics()

    assert qiskit.__version__ == own["qiskit_version"]
    assert ("9.9.9", "qiskit_ibm_runtime~sampler.py") == (given["qiskit_version"], given["caller"])
