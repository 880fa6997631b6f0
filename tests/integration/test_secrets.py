"""The API key shows nowhere: not in Prefect's memory, logs, errors or processes."""

import asyncio
import os
import traceback
from pathlib import Path

import pytest
from prefect import get_client
from prefect.client.schemas.sorting import LogSort

from prefect_qsession import session_flow
from prefect_qsession.emulator import InstanceSettings
from prefect_qsession.exceptions import QSessionError
from tests.integration.conftest import measure_one, outcomes

KEY = "emulated-key-4f6c1e0d9b2a"


@pytest.fixture
def emulator(make_emulator):
    """Start an emulator that knows the key."""
    return make_emulator(instances=(InstanceSettings(api_keys=(KEY,)),))


def processes() -> str:
    """Return command lines and environments of this process and all below it."""
    texts: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
            if process.name == str(os.getpid()) or f"PPid:\t{os.getpid()}\n" in status:
                texts += [(process / name).read_text() for name in ("cmdline", "environ")]
        except OSError:
            continue  # it ended meanwhile
    return "".join(texts)


def prefects_memory(flow_run_ids) -> str:
    """Return what the Prefect API tells of these flow runs, of blocks, artifacts and events."""

    async def read() -> str:
        async with get_client() as client:
            told = [await client.read_logs(sort=LogSort.TIMESTAMP_ASC, limit=200)]
            told += [await client.read_flow_run(flow_run_id) for flow_run_id in flow_run_ids]
            told += [await client.read_task_runs(), await client.read_artifacts()]
            told += [await client.read_block_documents(include_secrets=False)]
            events = await client.request("POST", "/events/filter", json={"limit": 50})
            return repr(told) + events.text

    return asyncio.run(read())


def test_the_key_shows_nowhere_however_a_flow_run_ends(emulator, save_block, caplog, capfd):
    """A run that completes, one that fails, one whose service vanishes, and one that is refused."""
    caplog.set_level("DEBUG")
    block = save_block(emulator)
    seen: list[str] = []

    @session_flow(block, backend="ibm_manila")
    def completes() -> None:
        measure_one()
        seen.append(processes())

    @session_flow(block, backend="ibm_manila")
    def fails() -> None:
        measure_one()
        raise ValueError

    @session_flow(block, backend="ibm_manilla")
    def is_refused() -> None:
        measure_one()

    @session_flow(block, backend="ibm_manila")
    def loses_its_service() -> None:
        measure_one()
        emulator.stop()
        measure_one()

    states = [run(return_state=True) for run in (completes, fails, is_refused, loses_its_service)]
    for state in states:
        error = state.result(raise_on_failure=False)
        if isinstance(error, BaseException):
            seen += traceback.format_exception(error)
    flow_run_ids = [state.state_details.flow_run_id for state in states]
    seen += [prefects_memory(flow_run_ids), caplog.text, *capfd.readouterr()]

    assert ["close", "cancel", None] == outcomes(emulator)
    assert isinstance(states[-1].result(raise_on_failure=False), QSessionError)
    assert "Opened session" in "".join(seen), "the places that are searched are the right ones"
    assert not [text for text in seen if KEY in text]
