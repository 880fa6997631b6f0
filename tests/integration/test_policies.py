"""The policy block: saved by an operator, followed by flow runs that do not know it."""

from importlib.metadata import entry_points
from uuid import uuid4

import pytest
from prefect import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.testing.standard_test_suites import BlockStandardTestSuite

from prefect_qsession import (
    QiskitRuntimeCredentials,
    SessionPolicy,
    SessionTaskRunner,
    current_session,
    session_flow,
)
from prefect_qsession.exceptions import InvalidBlock, UnknownBlock
from tests.integration.conftest import one, outcomes


class TestTheBlock(BlockStandardTestSuite):
    """Prefect's own expectations of a block."""

    @pytest.fixture
    def block(self):
        """Return the block's class."""
        return SessionPolicy

    # Prefect takes only http addresses for logos: a broken picture where there is no network.
    test_has_a_valid_image = None


@pytest.fixture
def batches() -> str:
    """Save a policy of batches of 20 minutes, and return its name."""
    name = f"batches-{uuid4()}"
    SessionPolicy(mode="batch", max_time="20m").save(name)
    return name


def max_time_of_its_session() -> int:
    """Run a job, and return when the service will end its session."""
    one()
    return current_session().details()["max_time"]


def test_prefect_registers_both_blocks():
    """Its server and command line load the modules that the package names, and find them there."""
    named = {found.value for found in entry_points(group="prefect.collections")}

    assert {QiskitRuntimeCredentials.__module__, SessionPolicy.__module__} <= named


@pytest.mark.parametrize("by", ["name in the code", "block in the code", "name in a setting"])
def test_a_flow_run_follows_the_block(by, batches, block, emulator, monkeypatch):
    """By its name or as it is, from the code or from a setting."""
    policy = SessionPolicy.load(batches) if by == "block in the code" else batches
    if by == "name in a setting":
        monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_POLICY", batches)
        policy = None

    @session_flow(block, backend="ibm_manila", policy=policy)
    def follows() -> int:
        return max_time_of_its_session()

    assert 1200 == follows()
    assert ["batch"] == [held.mode for held in emulator.sessions]
    assert ["close"] == outcomes(emulator)


def test_what_the_code_says_wins_over_the_block(batches, block, emulator):
    """And what it leaves out the block says."""

    @session_flow(block, backend="ibm_manila", policy=batches, mode="session")
    def insists() -> int:
        return max_time_of_its_session()

    assert 1200 == insists()
    assert ["dedicated"] == [held.mode for held in emulator.sessions]


def test_the_code_names_another_block_than_the_setting(batches, block, emulator, monkeypatch):
    """The flow's author knows the flow."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_POLICY", "no-such-policy")

    @session_flow(block, backend="ibm_manila", policy=batches)
    def follows() -> int:
        return one()

    follows()

    assert ["batch"] == [held.mode for held in emulator.sessions]


@pytest.mark.parametrize("kind", ["session_flow", "plain flow"])
def test_a_policy_that_does_not_exist_fails_the_flow_run_before_it_costs(kind, block, emulator):
    """Failed, not Crashed, with an error that says how to save one; nothing is opened."""
    from prefect import flow  # noqa: PLC0415 - beside the decorator it is compared with

    runner = SessionTaskRunner(block, backend="ibm_manila", policy="no-such-policy")
    decorate = {
        "session_flow": session_flow(block, backend="ibm_manila", policy="no-such-policy"),
        "plain flow": flow(task_runner=runner),
    }[kind]

    @decorate
    def asks() -> int:
        return one()

    state = asks(return_state=True)

    assert "Failed" == state.name
    with pytest.raises(UnknownBlock, match="No SessionPolicy block named 'no-such-policy'"):
        state.result()
    assert [] == emulator.sessions


def test_a_saved_policy_that_makes_no_sense_is_named(batches, block, emulator):
    """The UI's form lets one write what it likes; the flow run says which block to mend."""
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name(batches, "qiskit-session-policy")
        client.update_block_document(document.id, BlockDocumentUpdate(data={"max_time": "soon"}))

    @session_flow(block, backend="ibm_manila", policy=batches)
    def asks() -> int:
        return one()

    with pytest.raises(InvalidBlock, match=f"SessionPolicy block '{batches}'"):
        asks()
    assert [] == emulator.sessions
