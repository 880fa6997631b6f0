"""Every primitive of both generations computes what it should, in the session, over HTTP."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime.quantum_program import QuantumProgram

from prefect_qsession import current_session, estimator, executor, sampler, session_flow
from tests.integration.conftest import flipped_qubit, outcomes

pytestmark = pytest.mark.filterwarnings("ignore:The (Estimator|Sampler)V2 class is deprecated")

DEVICES = {"ibm_manila": 5, "ibm_sherbrooke": 127}


def minus_one(num_qubits: int) -> tuple[QuantumCircuit, SparsePauliOp]:
    """Return an ISA circuit that flips a qubit, and the observable that is -1 then."""
    circuit = QuantumCircuit(num_qubits)
    circuit.x(0)
    return circuit, SparsePauliOp.from_sparse_list([("Z", [0], 1.0)], num_qubits=num_qubits)


@pytest.mark.parametrize("backend", DEVICES)
@pytest.mark.parametrize("legacy", [False, True], ids=["client-side", "legacy"])
def test_the_estimator_estimates(legacy, backend, emulator, block):
    """Z of a flipped qubit is -1."""

    def run() -> float:
        job = estimator({"default_shots": 1000}, legacy=legacy).run([minus_one(DEVICES[backend])])
        return float(job.result()[0].data.evs)

    assert pytest.approx(-1.0, abs=0.1) == session_flow(block, backend=backend)(run)()
    assert ["estimator" if legacy else "executor"] == [job.program for job in emulator.jobs]
    assert ["close"] == outcomes(emulator)


TURNED = QuantumCircuit(5, 1)
"""A qubit from one end of the sphere to the other: two quarter turns, another turn between them."""
TURNED.rz(np.pi / 2, 0)
TURNED.sx(0)
TURNED.rz(Parameter("angle"), 0)
TURNED.sx(0)


def estimated(asked, angle):
    """Submit it to the Estimator; return what gives Z of the turned qubit."""
    z = SparsePauliOp.from_sparse_list([("Z", [0], 1.0)], num_qubits=5)
    job = estimator(asked).run([(TURNED, z, [angle])])
    return lambda: float(job.result()[0].data.evs)


def sampled(asked, angle):
    """Submit it to the Sampler; return what gives Z of the turned qubit."""
    circuit = TURNED.copy()
    circuit.measure(0, 0)
    job = sampler(asked).run([(circuit, [angle])])
    return lambda: 1.0 - 2.0 * float(np.mean(job.result()[0].data.c.array))


TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True}}


@pytest.mark.parametrize(
    ("submit", "options"),
    [(estimated, {}), (sampled, {}), (sampled, TWIRLED)],
    ids=["estimator", "sampler", "twirled sampler"],
)
def test_iterations_that_share_a_program_have_values_of_their_own(submit, options, emulator, block):
    """From the third on only the angles are new; each job has its own tags, and its own answer."""
    angles = np.linspace(0.0, np.pi, 6)

    def run() -> list[float]:
        asked = {"default_shots": 2000, "environment": {"job_tags": ["mine"]}, **options}
        return [answer() for answer in [submit(asked, angle) for angle in angles]]

    values = session_flow(block, backend="ibm_manila")(run)()
    assert -np.cos(angles) == pytest.approx(np.array(values), abs=0.15)
    assert len(angles) == len({tuple(job.tags) for job in emulator.jobs})
    assert all("mine" in job.tags for job in emulator.jobs)


@pytest.mark.parametrize("backend", DEVICES)
@pytest.mark.parametrize("legacy", [False, True], ids=["client-side", "legacy"])
def test_the_sampler_samples(legacy, backend, emulator, block):
    """Each of the shots asked for measures 1."""

    def run() -> dict[str, int]:
        job = sampler(legacy=legacy).run([flipped_qubit(DEVICES[backend])], shots=50)
        counts: dict[str, int] = job.result()[0].data.c.get_counts()
        return counts

    assert {"1": 50} == session_flow(block, backend=backend)(run)()
    assert ["sampler" if legacy else "executor"] == [job.program for job in emulator.jobs]
    assert ["close"] == outcomes(emulator)


@pytest.mark.parametrize("backend", DEVICES)
def test_the_executor_executes(backend, emulator, block):
    """A quantum program runs as it stands."""

    def run() -> int:
        program = QuantumProgram(shots=20)
        program.append_circuit_item(flipped_qubit(DEVICES[backend]))
        return int(executor().run(program).result()[0]["c"].sum())

    assert 20 == session_flow(block, backend=backend)(run)()
    assert ["close"] == outcomes(emulator)


def test_options_can_be_set_after_the_primitive_is_made(emulator, block):
    """The options object is the client's own, and what is set on it counts."""

    def run() -> int:
        primitive = sampler({"default_shots": 10})
        primitive.options.default_shots = 30
        return int(primitive.run([flipped_qubit(5)]).result()[0].data.c.num_shots)

    assert 30 == session_flow(block, backend="ibm_manila")(run)()


def test_one_job_may_carry_many_pubs(emulator, block):
    """The PUBs of one run stay one job, and each has its result."""

    def run() -> int:
        return len(sampler().run([flipped_qubit(5)] * 3, shots=10).result())

    assert 3 == session_flow(block, backend="ibm_manila")(run)()
    assert 1 == len(emulator.jobs)


def test_the_bare_session_serves_the_clients_own_primitives(emulator, block):
    """What our primitives do not offer can be had from the client, in the same session."""

    def run() -> int:
        from qiskit_ibm_runtime.executor_sampler import Sampler  # noqa: PLC0415

        sampler().run([flipped_qubit(5)], shots=10).result()
        job = Sampler(mode=current_session()).run([flipped_qubit(5)], shots=10)
        return int(job.result()[0].data.c.num_shots)

    assert 10 == session_flow(block, backend="ibm_manila")(run)()
    assert [2] == [len(session.job_ids) for session in emulator.sessions]
