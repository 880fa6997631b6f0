"""What cannot work is refused by an error of its own, before a session opens wherever it can be."""

import threading

import pytest
from prefect import task
from qiskit import QuantumCircuit
from qiskit_ibm_runtime.options_models import SamplerOptions
from qiskit_ibm_runtime.quantum_program import QuantumProgram

from prefect_qsession import (
    LeastBusy,
    QiskitRuntimeCredentials,
    SessionTaskRunner,
    current_backend,
    current_session,
    estimator,
    executor,
    sampler,
    session_flow,
)
from prefect_qsession.emulator import DeviceSettings, InstanceSettings
from prefect_qsession.exceptions import (
    BackendOffline,
    IncompleteEnvironment,
    InvalidMaxTime,
    InvalidOptions,
    InvalidSetting,
    MissingCredentials,
    NotISA,
    ServiceUnavailable,
    SessionLost,
    SessionNotOpen,
    SessionRefused,
    Unauthorized,
    UnknownBackend,
    UnknownBlock,
    UnknownInstance,
)
from tests.integration.conftest import flipped_qubit, measure_one, one

CRN_OF_OTHERS = (
    "crn:v1:bluemix:public:quantum-computing:us-east:"
    "a/ffffffffffffffffffffffffffffffff:00000000-0000-4000-8000-00000000ffff::"
)


def run_one_job(credentials, backend="ibm_manila", **options):
    """Run a flow of one job."""
    session_flow(credentials, backend=backend, **options)(one)()


def test_an_unknown_block_is_named(emulator):
    """The error names the block that is missing and how to save it."""
    with pytest.raises(UnknownBlock, match=r"'no-such-block'.*save"):
        run_one_job("no-such-block")


def test_no_credentials_at_all_says_where_to_name_them():
    """Neither code nor settings name a block."""
    with pytest.raises(MissingCredentials, match="PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS"):
        run_one_job(None)


def test_a_wrong_api_key_is_refused(emulator, save_block):
    """The service's refusal comes out as ours, without the key."""
    block = save_block(emulator, api_key="wrong-key-7e1f")

    with pytest.raises(Unauthorized, match="api_key") as refused:
        run_one_job(block)
    assert "wrong-key-7e1f" not in str(refused.value)
    assert not refused.value.retryable
    assert [] == emulator.sessions


@pytest.mark.parametrize("instance", [CRN_OF_OTHERS, "no-such-name"])
def test_an_unknown_instance_is_named(instance, emulator, save_block):
    """An instance that the key gives no access to is named, by CRN or by name."""
    with pytest.raises(UnknownInstance, match=instance[-16:]):
        run_one_job(save_block(emulator, instance=instance))
    assert [] == emulator.sessions


def test_an_unknown_backend_is_named_beside_those_there_are(emulator, block):
    """A typing error is easily seen."""
    with pytest.raises(UnknownBackend, match=r"'ibm_manilla'.*ibm_manila, ibm_sherbrooke"):
        run_one_job(block, backend="ibm_manilla")
    assert [] == emulator.sessions


def test_filters_that_no_backend_passes_are_told(emulator, block):
    """The error repeats what was asked for."""
    with pytest.raises(UnknownBackend, match="least busy backend of at least 1000 qubits"):
        run_one_job(block, backend=LeastBusy(min_num_qubits=1000))
    assert [] == emulator.sessions


def test_an_offline_backend_is_refused(make_emulator, save_block):
    """A device that takes no jobs is not waited for."""
    emulator = make_emulator(devices=(DeviceSettings("ibm_manila", "manila", status="offline"),))

    with pytest.raises(BackendOffline, match="'ibm_manila' takes no jobs"):
        run_one_job(save_block(emulator))
    assert [] == emulator.sessions


def foreign_gate() -> QuantumCircuit:
    """Return a circuit with a gate that no IBM device has."""
    circuit = QuantumCircuit(5, 1, name="foreign")
    circuit.h(0)
    circuit.measure(0, 0)
    return circuit


def foreign_program() -> QuantumProgram:
    """Return a program of that circuit."""
    program = QuantumProgram(shots=10)
    program.append_circuit_item(foreign_gate())
    return program


@pytest.mark.parametrize(
    "run",
    [
        lambda: sampler().run([foreign_gate()]),
        lambda: estimator().run(
            [(foreign_gate().remove_final_measurements(inplace=False), "IIIIZ")]
        ),
        lambda: executor().run(foreign_program()),
        lambda: sampler(legacy=True).run([foreign_gate()]),
    ],
    ids=["sampler", "estimator", "executor", "legacy sampler"],
)
def test_a_circuit_that_is_not_isa_is_refused_before_a_session_opens(run, emulator, block):
    """The client-side primitives would queue it, fail and be billed; we name the first bad gate."""
    with pytest.raises(NotISA, match=r"'ibm_manila': The instruction h on qubits \(0,\)"):
        session_flow(block, backend="ibm_manila")(run)()
    assert [] == emulator.sessions


def test_a_circuit_of_too_many_qubits_is_refused(emulator, block):
    """A circuit that is larger than the device is not ISA either."""

    def run() -> None:
        sampler().run([QuantumCircuit(current_backend().num_qubits + 1, 1)])

    with pytest.raises(NotISA, match="6 qubits"):
        session_flow(block, backend="ibm_manila")(run)()
    assert [] == emulator.sessions


@pytest.mark.parametrize("make", [session_flow, SessionTaskRunner])
def test_a_bad_max_time_is_refused_when_the_flow_is_defined(make):
    """Before anything runs."""
    with pytest.raises(InvalidMaxTime, match="'soon'"):
        make("any", max_time="soon")


@pytest.mark.parametrize("make", [session_flow, SessionTaskRunner])
def test_a_bad_option_is_refused_when_the_flow_is_defined(make):
    """Before anything runs, by the option's own name."""
    with pytest.raises(InvalidSetting, match="mode 'sessions'"):
        make("any", mode="sessions")


@pytest.mark.parametrize("make", [session_flow, SessionTaskRunner])
def test_an_option_that_nobody_has_is_refused_when_the_flow_is_defined(make):
    """By us or by Prefect."""
    with pytest.raises(TypeError, match="max_tim"):
        make("any", max_tim="2h")(lambda: None)


def test_a_bad_max_time_in_the_settings_is_refused_when_the_flow_starts(
    monkeypatch, emulator, block
):
    """The settings are read when the flow run starts, and nothing is opened."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_MAX_TIME", "later")

    with pytest.raises(InvalidMaxTime, match="'later'"):
        run_one_job(block)
    assert [] == emulator.sessions


@pytest.mark.parametrize("legacy", [False, True], ids=["client-side", "legacy"])
@pytest.mark.parametrize(
    "options", [{"default_shotz": 10}, SamplerOptions(), "many shots"], ids=lambda o: str(type(o))
)
def test_options_of_another_primitive_are_refused(options, legacy, emulator, block):
    """Misspelt, of another primitive, or no options at all: found before the session opens."""

    def run() -> None:
        estimator(options, legacy=legacy)

    with pytest.raises(InvalidOptions, match=r"no options of estimator\(\)"):
        session_flow(block, backend="ibm_manila")(run)()
    assert [] == emulator.sessions


def test_a_session_flow_takes_no_second_session():
    """The error comes when the flow is defined, and says what to do."""
    with pytest.raises(TypeError, match="another one of its kind"):
        session_flow("any", task_runner=SessionTaskRunner("any"))


def test_when_every_backend_is_offline_the_least_busy_one_is_too(make_emulator, save_block):
    """The filters were right; it is the devices that are down."""
    emulator = make_emulator(devices=(DeviceSettings("ibm_manila", "manila", status="offline"),))

    with pytest.raises(BackendOffline, match="ibm_manila"):
        run_one_job(save_block(emulator), backend="least_busy")
    assert [] == emulator.sessions


def test_a_plan_without_sessions_refuses_with_the_services_own_words(make_emulator, save_block):
    """IBM's code and advice are passed on."""
    emulator = make_emulator(instances=(InstanceSettings(plan="open"),))

    with pytest.raises(SessionRefused, match=r"open plan.*different plan") as refused:
        run_one_job(save_block(emulator))
    assert (1352, 400, False) == (
        refused.value.code,
        refused.value.status_code,
        refused.value.retryable,
    )


def test_a_service_that_cannot_be_reached_is_told_from_a_bad_key(make_emulator, save_block):
    """A closed port is no reason to change the key."""
    emulator = make_emulator()
    block = save_block(emulator)
    emulator.stop()

    with pytest.raises(ServiceUnavailable, match="could not be listed") as error:
        run_one_job(block)
    assert error.value.retryable


def test_an_environment_without_an_account_says_which_variable_is_missing():
    """A block is not made from half an account."""
    with pytest.raises(IncompleteEnvironment, match="QISKIT_IBM_INSTANCE"):
        QiskitRuntimeCredentials.from_environment({"QISKIT_IBM_TOKEN": "any"})


def test_a_job_after_the_flow_run_released_its_session_says_so(emulator, block):
    """A task that nobody waited for is told why its job was not accepted."""
    started, released = threading.Event(), threading.Event()
    errors: list[Exception] = []

    @task
    def late() -> None:
        started.set()
        released.wait()
        try:
            one()
        except SessionNotOpen as error:
            errors.append(error)

    @session_flow(block, backend="ibm_manila", on_completion=[lambda *_: released.set()])
    def does_not_wait():
        measure_one()
        late.submit()
        started.wait()

    does_not_wait()

    assert [emulator.sessions[0].id] == [error.session_id for error in errors]
    assert "is closed" in str(errors[0])
    assert 1 == len(emulator.jobs)


def test_a_session_that_the_service_ended_is_lost(make_emulator, save_block):
    """The service's own words, and no attempt to release what is gone."""
    emulator = make_emulator(hand_clock=True)

    @session_flow(save_block(emulator), backend="ibm_manila", reopen=0)
    def too_slow() -> None:
        current_session()
        emulator.clock.advance(1800)  # a session that is never used ends after half an hour
        sampler().run([flipped_qubit(5)])

    with pytest.raises(SessionLost, match=r"code 1217") as lost:
        too_slow()
    assert emulator.sessions[0].id == lost.value.session_id
    assert ["unused"] == [session.ended_by for session in emulator.sessions]
