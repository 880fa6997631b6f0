"""A real Prefect server for all of these tests, and a saved block for each test's emulator."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from prefect import task
from prefect.context import _temporary_global_settings_context, get_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    temporary_settings,
)
from qiskit import QuantumCircuit

from demo.servers import PrefectServer
from prefect_qsession import QiskitRuntimeCredentials, current_backend, sampler
from prefect_qsession.emulator import Emulator
from prefect_qsession.release.guardian import guardian
from prefect_qsession.release.ledger import PrefectLedger

# So that a difference is shown, not only that there is one.
pytest.register_assert_rewrite("tests.integration.parity")

LAST_SECONDS = 10.0
"""What logs and events have to be sent, after the last test."""


@pytest.fixture(scope="package", autouse=True)
def _prefect_server(tmp_path_factory) -> Iterator[None]:
    """Run a Prefect server as a process, with a database and a home that are thrown away."""
    home = tmp_path_factory.mktemp("prefect-home")
    with (
        PrefectServer(home) as server,
        temporary_settings(
            {
                PREFECT_HOME: home,
                PREFECT_API_URL: server.url,
                # Every flow run would wait for the end of its heartbeat, for up to a second.
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            }
        ),
        # As Prefect's own harness does: threads that have no context find the server, too.
        _temporary_global_settings_context(get_settings_context()),
    ):
        yield
        # What is still to be sent would be tried for long once the server is gone.
        APILogHandler().flush()
        EventsWorker.drain_all(timeout=LAST_SECONDS)


@pytest.fixture(autouse=True)
def _nothing_is_left_open(_prefect_server) -> Iterator[None]:
    """Let go of sessions whose emulator is gone before they could be released."""
    yield
    for entry in PrefectLedger().entries():
        guardian().discharge(entry.session_id)
        PrefectLedger().forget(entry.session_id)


@pytest.fixture
def save_block() -> Callable[..., str]:
    """Save credentials for an emulator, changed as asked, and return the name of the block."""

    def save(emulator: Emulator, **changes) -> str:
        block = QiskitRuntimeCredentials.from_environment(emulator.environment())
        name = f"test-{uuid4()}"
        QiskitRuntimeCredentials(**{**dict(block), **changes}).save(name)
        return name

    return save


@pytest.fixture
def block(save_block, emulator) -> str:
    """Return the name of a saved block for the default emulator."""
    return save_block(emulator)


@task
def measure_one(shots: int = 10) -> int:
    """Measure a qubit that was flipped, as one job in the session of whatever runs here."""
    return one(shots)


def one(shots: int = 10) -> int:
    """Measure a qubit that was flipped: 1 on every shot. Another attempt asks for other shots."""
    job = sampler().run([flipped_qubit(current_backend().num_qubits)], shots=shots)
    return round(sum(job.result()[0].data.c.array.ravel()) / shots)


def flipped_qubit(num_qubits: int) -> QuantumCircuit:
    """Return an ISA circuit, for any device that has an X gate, that measures 1."""
    circuit = QuantumCircuit(num_qubits, 1, name="flipped")
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


def outcomes(emulator: Emulator) -> list[str | None]:
    """Return how each session ended, by the emulator's own record."""
    return [session.ended_by for session in emulator.sessions]
