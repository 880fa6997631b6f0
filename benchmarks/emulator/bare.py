"""Requests as the client sends them, without the client: they cost next to nothing to make."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from qiskit import QuantumCircuit
from qiskit_ibm_runtime import RuntimeEncoder

from benchmarks._servers import Service
from prefect_qsession.emulator.settings import RUNTIME_PREFIX

BACKEND = "ibm_sherbrooke"
PAUSE_SECONDS = 0.002
OK = 300


def dense_circuit(qubits: int, layers: int) -> QuantumCircuit:
    """Return a circuit that takes a simulator long: everything entangled, in many layers."""
    circuit = QuantumCircuit(qubits)
    for layer in range(layers):
        for qubit in range(qubits):
            circuit.sx(qubit)
            circuit.rz(0.1 + 0.01 * layer + 0.02 * qubit, qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


class Bare:
    """One connection to an emulator, kept open."""

    def __init__(self, service: Service) -> None:
        address = urlsplit(service.control_url)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port)
        self._crn = service.environment["QISKIT_IBM_INSTANCE"]
        self._headers = {
            "Authorization": f"apikey {service.environment['QISKIT_IBM_TOKEN']}",
            "Service-CRN": self._crn,
            "Content-Type": "application/json",
        }

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request and return the answer's body; end the benchmark if it is refused."""
        self._connection.request(method, RUNTIME_PREFIX + path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= OK:
            raise SystemExit(f"{method} {path}: {answer.status} {content!r}")
        return content

    def open_session(self, mode: str = "dedicated") -> str:
        """Open a session, or a batch, and return its id."""
        wanted = {"mode": mode, "backend": BACKEND, "instance": self._crn}
        return str(json.loads(self.ask("POST", "/sessions", json.dumps(wanted).encode()))["id"])

    def close_session(self, session_id: str) -> None:
        """Let it take no more jobs."""
        self.ask("PATCH", f"/sessions/{session_id}", b'{"accepting_jobs":false}')

    def submit(self, body: bytes) -> str:
        """Submit a job, and return its id."""
        return str(json.loads(self.ask("POST", "/jobs", body))["id"])

    def status(self, job_id: str) -> str:
        """Return a job's status."""
        seen = json.loads(self.ask("GET", f"/jobs/{job_id}?exclude_params=true"))
        return str(seen["state"]["status"])

    def wait_for(self, job_id: str) -> None:
        """Wait until a job is completed."""
        while (status := self.status(job_id)) != "Completed":
            if status not in {"Queued", "Running"}:
                raise SystemExit(f"Job {job_id} is {status}.")
            time.sleep(PAUSE_SECONDS)


def job_body(circuit: QuantumCircuit, session_id: str | None = None) -> bytes:
    """Write a job of the sampler as the client does."""
    params: dict[str, Any] = {"pubs": [[circuit, [], 100]], "version": 2, "support_qiskit": True}
    head = {"program_id": "sampler", "backend": BACKEND, "session_id": session_id}
    return json.dumps(head | {"params": params}, cls=RuntimeEncoder).encode()
