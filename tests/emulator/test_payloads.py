"""Payloads of a hostile or broken client: the job fails, the service answers on."""

import base64
import io
import pickle
import zlib

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy

from prefect_qsession.emulator.rules.simulation import SimulationTask

from .conftest import one_bit


def packed(data: bytes) -> str:
    """Compress and encode as the client does."""
    return base64.b64encode(zlib.compress(data)).decode()


def as_npy(array: np.ndarray) -> str:
    """Encode an array as the client does, objects included."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return packed(file.getvalue())


def as_qpy(circuit: QuantumCircuit, version: int) -> dict[str, str]:
    """Encode a circuit as the client does, in any version."""
    file = io.BytesIO()
    qpy.dump(circuit, file, version=version)
    return {"__type__": "QuantumCircuit", "__value__": packed(file.getvalue())}


class Explosive:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.fixture
def outcome_of(bench):
    """Post parameters of a sampler, and return what became of the job."""

    def run(params, program="sampler"):
        body = {"program_id": program, "backend": "ibm_manila", "params": params}
        bench.service._get_api_client()._session.post("/jobs", json=body)
        bench.clock.advance(100)
        return bench.emulator.jobs[-1]

    return run


def test_a_well_formed_payload_of_the_same_kind_runs(outcome_of):
    """The payloads below fail for what they hold, not for how they are sent."""
    array = {"__type__": "ndarray", "__value__": as_npy(np.array([]))}

    assert "Completed" == outcome_of({"pubs": [[as_qpy(one_bit(), 17), array, 10]]}).status


def test_nothing_is_unpickled(outcome_of, tmp_path):
    """An array of objects is refused before its pickle is read."""
    marker = tmp_path / "unpickled"
    array = {"__type__": "ndarray", "__value__": as_npy(np.array([Explosive(marker)]))}
    assert marker.name.encode() in pickle.dumps(Explosive(marker))

    job = outcome_of({"pubs": [[as_qpy(one_bit(), 17), array, 10]]})

    assert ("Failed", 1506) == (job.status, job.reason_code)
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["settings", "_json", "spmatrix", "Instruction", "NoiseModel", []])
def test_no_module_named_by_the_payload_is_imported(outcome_of, kind):
    """Tagged values that name modules or classes are refused, whatever they name."""
    value = {"__type__": kind, "__module__": "os", "__class__": "system", "__value__": {}}

    assert 1506 == outcome_of({"pubs": [[value]]}).reason_code


def test_old_circuits_with_foreign_expressions_are_refused(outcome_of):
    """A circuit in a format older than any current client's is not read."""
    data = bytearray(zlib.decompress(base64.b64decode(as_qpy(one_bit(), 13)["__value__"])))
    data[6] = 10
    value = {"__type__": "QuantumCircuit", "__value__": packed(bytes(data))}

    assert "QPY version 10 is older than 13" in outcome_of({"pubs": [[value]]}).reason


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"pubs": []},
        {"pubs": "x"},
        {"pubs": [{}]},
        {"pubs": [[1]]},
        {"pubs": [[{"__type__": "QuantumCircuit"}]]},
        {"pubs": [[{"__type__": "QuantumCircuit", "__value__": "!"}]]},
        {"pubs": [[{"__type__": "QuantumCircuit", "__value__": packed(b"QISKIT")}]]},
        {"pubs": [[{"__type__": "QuantumCircuit", "__value__": packed(b"x")[:-8]}]]},
    ],
)
@pytest.mark.parametrize("program", ["sampler", "estimator"])
def test_broken_parameters_fail_the_job_as_not_loadable(outcome_of, params, program):
    """Whatever is wrong with the parameters, the job fails by its user's fault, with a reason."""
    job = outcome_of(params, program)

    assert ("Failed", 1506) == (job.status, job.reason_code)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"schema_version": "v9.9"},
        {"schema_version": "v2.0"},
        {"schema_version": "v2.0", "quantum_program": {"shots": -1}, "options": {}},
        {
            "schema_version": "v2.0",
            "options": {},
            "quantum_program": {"shots": 1, "circuits": {"data": ["OPENQASM 3.0;"]}, "items": []},
        },
    ],
)
def test_a_broken_quantum_program_fails_the_job_as_not_loadable(outcome_of, params):
    """The executor's parameters are held to their schema."""
    job = outcome_of(params, "executor")

    assert ("Failed", 1506) == (job.status, job.reason_code)


def test_a_circuit_too_large_to_simulate_fails_alone(simulators):
    """A state that does not fit the memory limit fails its job; the next one is computed."""
    wide = QuantumCircuit(40, 40)
    for qubit in range(40):
        wide.sx(qubit)
        wide.rz(0.3, qubit)
    for _ in range(20):
        for qubit in range(39):
            wide.ecr(qubit, qubit + 1)
            wide.sx(qubit)
            wide.rz(0.1, qubit)
    wide.measure(range(40), range(40))

    outcomes = [simulators.submit(task_for(c)).result(timeout=60) for c in (wide, one_bit())]

    assert (1506, True) == (outcomes[0].reason_code, outcomes[0].user_error)
    assert outcomes[1].result is not None


def task_for(circuit: QuantumCircuit) -> SimulationTask:
    """Return the task of sampling a circuit, on a device that can do anything."""
    import json  # noqa: PLC0415

    body = {"params": {"pubs": [[as_qpy(circuit, 17), None, 10]]}}
    names = dict.fromkeys(["x", "sx", "rz", "ecr", "measure"])
    facts = {"num_qubits": 127, "instructions": names}
    return SimulationTask("sampler", json.dumps(body).encode(), json.dumps(facts), 1, "shots")
