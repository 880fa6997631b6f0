"""The credentials block: what it holds, how it looks from outside, and the service it gives."""

import asyncio
import os
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from prefect import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import ValidationError
from qiskit_ibm_runtime import QiskitRuntimeService

from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.emulator import Delay, Fault
from prefect_qsession.exceptions import InvalidBlock
from prefect_qsession.ibm.addresses import Addresses, in_environment
from prefect_qsession.ibm.internals import are_hidden
from prefect_qsession.prefect_api.blocks import load_block, saved_name

KEY = "an-api-key-that-must-not-show"


class TestTheBlock(BlockStandardTestSuite):
    """Prefect's own expectations of a block."""

    @pytest.fixture
    def block(self):
        """Return the block's class."""
        return QiskitRuntimeCredentials

    # Prefect takes only http addresses for logos: a broken picture where there is no network.
    test_has_a_valid_image = None


@pytest.fixture
def credentials() -> QiskitRuntimeCredentials:
    """Return a block for a service that does not exist."""
    return QiskitRuntimeCredentials(
        api_key=KEY,
        instance="mine",
        runtime_url="http://127.0.0.1:1/api",
        proxies={"urls": {"https": f"http://user:{KEY}@proxy"}},
    )


def test_making_saving_and_loading_it_asks_nothing_of_the_runtime_service(credentials):
    """A block for a service that does not exist can be made, saved and loaded."""
    credentials.save("points-nowhere")

    assert KEY == load_block(QiskitRuntimeCredentials, "points-nowhere").api_key.get_secret_value()


def test_it_survives_being_saved(credentials):
    """What is loaded equals what was saved, secrets included."""
    credentials.save("round-trip")

    assert credentials.account() == load_block(QiskitRuntimeCredentials, "round-trip").account()


def test_a_loaded_block_knows_its_name(credentials):
    """The ledger names it, for those who release a session from another process."""
    unsaved = saved_name(credentials)
    credentials.save("named")

    assert unsaved is None
    assert "named" == saved_name(credentials)
    assert "named" == saved_name(load_block(QiskitRuntimeCredentials, "named"))
    assert "named" == saved_name("named")


@pytest.mark.parametrize("show", [repr, str, lambda block: block.model_dump_json()])
def test_the_secrets_do_not_show(credentials, show):
    """Neither the key nor the proxy's password is in any way of printing it."""
    assert KEY not in show(credentials)
    assert KEY not in repr(credentials.account())


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": KEY},
        {"api_key": KEY, "instance": "", "channel": "carrier-pigeon"},
        {"api_key": [KEY], "instance": "mine"},
        {"api_key": KEY, "instance": "mine", "proxies": f"http://user:{KEY}@proxy"},
    ],
    ids=["missing field", "wrong values", "key of a wrong type", "proxies of a wrong type"],
)
def test_a_validation_error_does_not_show_the_key(fields):
    """Pydantic would print its input; ours is told not to."""
    with pytest.raises(ValidationError) as refused:
        QiskitRuntimeCredentials(**fields)
    assert KEY not in str(refused.value)


def test_a_saved_block_that_lacks_a_field_is_named_and_does_not_show_the_key(credentials):
    """What an older version saved, or somebody emptied, is an error of ours without its content."""
    credentials.save("incomplete")

    async def empty_the_instance() -> None:
        async with get_client() as client:
            document = await client.read_block_document_by_name(
                "incomplete", "qiskit-runtime-credentials"
            )
            await client.update_block_document(
                document.id,
                BlockDocumentUpdate(data={"api_key": KEY}, merge_existing_data=False),
            )

    asyncio.run(empty_the_instance())

    with pytest.raises(InvalidBlock, match="'incomplete'") as refused:
        load_block(QiskitRuntimeCredentials, "incomplete")
    assert KEY not in "".join(traceback.format_exception(refused.value))


def test_the_service_it_gives_is_ready(emulator):
    """With nothing but the block, the client finds its instance and backends."""
    block = QiskitRuntimeCredentials.from_environment(emulator.environment())

    service = block.get_service()

    assert isinstance(service, QiskitRuntimeService)
    assert {"ibm_manila", "ibm_sherbrooke"} == {backend.name for backend in service.backends()}


def test_an_instance_may_be_given_by_name(emulator):
    """The name of an instance serves as well as its CRN."""
    block = QiskitRuntimeCredentials.from_environment(emulator.environment())
    by_name = block.model_copy(update={"instance": emulator.settings.instances[0].name})

    assert emulator.settings.instances[0].crn == by_name.get_service().active_instance()


def test_two_accounts_of_one_process_do_not_mix(make_emulator, monkeypatch):
    """Each is where its block says, whatever the environment says; and that is left alone."""
    monkeypatch.setenv("IAM_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GLOBAL_SEARCH_URL", "http://127.0.0.1:1")
    for emulator in (make_emulator(), make_emulator()):
        block = QiskitRuntimeCredentials.from_environment(emulator.environment())
        assert block.get_service().backends()

    assert "http://127.0.0.1:1" == os.environ["IAM_URL"]
    assert "GLOBAL_CATALOG_URL" not in os.environ


@pytest.mark.skipif(are_hidden, reason="the client has no other way then")
def test_what_connects_meanwhile_reads_no_address_of_another_account(emulator):
    """A service of the user's would send its key there."""
    emulator.faults.add(Fault("/v3/resources/search", Delay(0.3), method="POST", count=1))
    block = QiskitRuntimeCredentials.from_environment(emulator.environment())
    seen: set[str | None] = set()

    with ThreadPoolExecutor(1) as threads:
        connecting = threads.submit(block.get_service)
        while not connecting.done():
            seen.add(os.environ.get("IAM_URL"))
            time.sleep(0.001)

    assert connecting.result().backends()
    assert {None} == seen


def test_an_account_without_addresses_waits_for_one_that_has_some(emulator):
    """
    Where the environment is the only way: its key must not reach the identity service of the
    account that connects beside it.
    """
    seen: list[str | None] = []
    inside, go_on = threading.Event(), threading.Event()

    def with_addresses() -> None:
        with in_environment(Addresses(auth_url=emulator.url)):
            inside.set()
            go_on.wait()

    def without_addresses() -> None:
        with in_environment(Addresses()):
            seen.append(os.environ.get("IAM_URL") or None)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(with_addresses)
        inside.wait()
        second = threads.submit(without_addresses)
        go_on.set()
        first.result()
        second.result()

    assert [None] == seen


@pytest.mark.parametrize(("said", "in_the_end"), [(None, "True"), ("False", "False")])
def test_the_client_walks_the_stack_only_if_the_user_says_so(
    emulator, monkeypatch, said, in_the_end
):
    """Its own switch is set, unless somebody has set it."""
    if said is None:
        monkeypatch.delenv("USAGE_DATA_OPT_OUT", raising=False)
    else:
        monkeypatch.setenv("USAGE_DATA_OPT_OUT", said)
    QiskitRuntimeCredentials.from_environment(emulator.environment()).get_service()

    assert in_the_end == os.environ["USAGE_DATA_OPT_OUT"]
