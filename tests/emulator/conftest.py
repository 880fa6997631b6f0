"""The unmodified client, connected to an emulator, and a device on a clock moved by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService, SamplerV2, Session

from prefect_qsession.emulator import Emulator, InstanceSettings, TimingSettings

# Where the package is, for programs that tests start: with `-c`, Python looks there.
REPOSITORY = Path(__file__).parents[2]

# For requests that the client would not make.
HEADERS = {"Authorization": "apikey emulator-api-key", "Service-CRN": InstanceSettings().crn}


@pytest.fixture
def connect(monkeypatch) -> Callable[..., QiskitRuntimeService]:
    """Connect the unmodified client, by nothing but environment variables."""

    def connect_to(emulator: Emulator, instance: InstanceSettings | None = None):
        for name, value in emulator.environment(instance).items():
            monkeypatch.setenv(name, value)
        return QiskitRuntimeService()

    return connect_to


@pytest.fixture
def service(emulator, connect) -> QiskitRuntimeService:
    """Return a client of the default emulator."""
    return connect(emulator)


class Bench:
    """A device of an emulator on a hand clock, and the shortest of jobs to try it with."""

    def __init__(self, emulator: Emulator, service: QiskitRuntimeService, backend: IBMBackend):
        self.emulator = emulator
        self.service = service
        self.backend = backend
        self.clock = emulator.clock

    def submit(self, session: Session | None = None, **options):
        """Submit a job that measures one qubit."""
        return legacy_sampler(session or self.backend, **options).run([one_bit()])

    def session_record(self):
        """Return the record of the last session."""
        return self.emulator.sessions[-1]

    def statuses(self) -> list[str]:
        """Return the states of all jobs, in order of creation."""
        return [job.status for job in self.emulator.jobs]


def legacy_sampler(mode: IBMBackend | Session, **options) -> SamplerV2:
    """Return the sampler the service runs by itself, deprecated as it is."""
    with pytest.warns(DeprecationWarning, match="SamplerV2"):
        return SamplerV2(mode=mode, options=options)


def one_bit() -> QuantumCircuit:
    """Return a circuit that measures one."""
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


@pytest.fixture
def make_bench(make_emulator, connect) -> Callable[..., Bench]:
    """Make a bench; jobs hold its QPU for ten seconds unless told otherwise."""

    def make(**settings) -> Bench:
        settings.setdefault("timing", TimingSettings(fixed_seconds=10.0))
        emulator = make_emulator(hand_clock=True, **settings)
        service = connect(emulator)
        return Bench(emulator, service, service.backend("ibm_manila"))

    return make


@pytest.fixture
def bench(make_bench) -> Bench:
    """Return the default bench."""
    return make_bench()
