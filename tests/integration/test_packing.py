"""Tasks that ask side by side share one job, and notice nothing of it."""

from prefect import task, unmapped
from prefect.cache_policies import NO_CACHE
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from prefect_qsession import current_backend, estimator, sampler, session_flow
from prefect_qsession.emulator import Answer, Fault
from prefect_qsession.exceptions import JobCancelled
from tests.integration.conftest import outcomes
from tests.integration.session_flows import Boom

WINDOW = "2s"
"""Long enough for threads on a busy machine."""


def rotation() -> QuantumCircuit:
    """Return an ISA circuit that turns one qubit by an angle."""
    circuit = QuantumCircuit(current_backend().num_qubits, name="rotation")
    circuit.rz(Parameter("angle"), 0)
    return circuit


def z() -> SparsePauliOp:
    """Return Z of the first qubit."""
    return SparsePauliOp.from_sparse_list([("Z", [0], 1.0)], current_backend().num_qubits)


def flipped(shots: int) -> QuantumCircuit:
    """Return an ISA circuit that measures 1 on as many qubits as there are tens of shots."""
    circuit = QuantumCircuit(current_backend().num_qubits, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


@task(cache_policy=NO_CACHE)
def expectation(angle: float) -> tuple[str, float]:
    """Estimate Z."""
    job = estimator().run([(rotation(), z(), [angle])])
    [pub] = job.result()
    return job.job_id(), float(pub.data.evs)


@task(cache_policy=NO_CACHE)
def ones(number: int, shots: int) -> tuple[str, int, int]:
    """Measure 1 for odd numbers and 0 for even ones, and return the job, the number and it."""
    circuit = QuantumCircuit(current_backend().num_qubits, 1)
    if number % 2:
        circuit.x(0)
    circuit.measure(0, 0)
    job = sampler().run([circuit], shots=shots)
    [pub] = job.result()
    return job.job_id(), number, round(float(pub.data.c.array.mean()))


def test_a_gradient_of_forty_evaluations_is_one_job(emulator, block):
    """Each task has the value of its own PUB."""

    @session_flow(block, backend="ibm_manila", pack=WINDOW)
    def gradient() -> list:
        return ones.map(range(40), unmapped(10)).result()

    rows = gradient()

    assert [number % 2 for _, number, _ in rows] == [value for _, _, value in rows]
    assert {emulator.jobs[0].id} == {job_id for job_id, _, _ in rows}
    assert 1 == len(emulator.jobs)
    assert ["close"] == outcomes(emulator)


def test_an_estimator_packs_as_a_sampler_does(emulator, block):
    """What differs in precision, options or primitive goes in jobs of its own."""

    @session_flow(block, backend="ibm_manila", pack=WINDOW)
    def several() -> list:
        futures = [*expectation.map([0.1, 0.2]), *ones.map([1, 3], unmapped(10))]
        futures += ones.map([1, 3], unmapped(20))
        return [future.result() for future in futures]

    rows = several()

    assert [1.0, 1.0, 1, 1, 1, 1] == [row[-1] for row in rows]
    assert [rows[0][0], rows[2][0], rows[4][0]] == [rows[i][0] for i in (1, 3, 5)]
    assert 3 == len(emulator.jobs)


def test_a_pack_that_is_refused_costs_only_the_one_that_is_to_blame(emulator, block):
    """The others go alone."""
    # The first submission is the pack's; the next that is refused is one member's.
    emulator.faults.add(Fault("/jobs", Answer(400), method="POST", count=2))

    @session_flow(block, backend="ibm_manila", pack=WINDOW)
    def refused_twice() -> list[str]:
        futures = ones.map([1, 3, 5], unmapped(10))
        futures.wait()
        return sorted(str(future.state.type.value) for future in futures)

    assert ["COMPLETED", "COMPLETED", "FAILED"] == refused_twice()
    assert 2 == len(emulator.jobs)


def test_a_later_attempt_finds_the_results_of_packs_however_it_asks(emulator, block):
    """One by one, and with one more: only that is new."""
    attempts: list[list] = []

    @session_flow(block, backend="ibm_manila", pack="500ms", retries=1)
    def asks_otherwise() -> None:
        if not attempts:
            attempts.append(ones.map([1, 2, 3], unmapped(10)).result())
            raise Boom
        attempts.append([ones(number, 10) for number in (3, 2, 1, 4)])

    asks_otherwise()

    assert sorted(attempts[0]) == sorted(attempts[1][:3])
    assert 2 == len(emulator.jobs)


def test_a_member_that_is_cancelled_leaves_the_others_their_job(emulator, block):
    """The job itself is cancelled with the last of them."""

    @task(cache_policy=NO_CACHE)
    def cancels(number: int) -> str:
        circuit = flipped(number)
        job = sampler().run([circuit], shots=10)
        if number:
            job.cancel()
        try:
            return str(len(job.result()))
        except JobCancelled:
            return "cancelled"

    @session_flow(block, backend="ibm_manila", pack=WINDOW)
    def one_goes_on() -> list[str]:
        return cancels.map([0, 1, 1]).result()

    assert ["1", "cancelled", "cancelled"] == one_goes_on()
    assert ["Completed"] == [job.status for job in emulator.jobs]


def test_without_the_option_each_request_is_a_job(emulator, block):
    """Packing is asked for."""

    @session_flow(block, backend="ibm_manila")
    def alone() -> list:
        return ones.map([1, 3], unmapped(10)).result()

    alone()

    assert 2 == len(emulator.jobs)
