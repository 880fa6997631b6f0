"""The API key shows nowhere: not in Prefect's memory, logs, errors or processes."""

import asyncio
import os
import traceback
from pathlib import Path

import pytest
from prefect import get_client
from prefect.client.schemas.sorting import LogSort
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

from prefect_qsession import session_flow
from prefect_qsession.emulator import InstanceSettings, TimingSettings
from prefect_qsession.exceptions import QSessionError
from tests.harness.waiting import wait_until
from tests.integration.conftest import measure_one, outcomes
from tests.integration.test_signals import active, start_program

KEY = "emulated-key-4f6c1e0d9b2a"


@pytest.fixture
def emulator(make_emulator):
    """Start an emulator that knows the key."""
    return make_emulator(instances=(InstanceSettings(api_keys=(KEY,)),))


def processes() -> str:
    """Return command lines and environments of this process and all it has started."""
    return processes_of(os.getpid())


def processes_of(pid: int) -> str:
    """Return command lines and environments of a process and those it has started."""
    texts: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
            if process.name == str(pid) or f"PPid:\t{pid}\n" in status:
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


def ledger() -> str:
    """Return the variables of the ledger as the API has them."""
    with get_client(sync_client=True) as client:
        return client.request("POST", "/variables/filter", json={}).text


def database() -> str:
    """Return the bytes of the server's database, its journal included."""
    path = Path(PREFECT_API_DATABASE_CONNECTION_URL.value().partition(":///")[2])
    return "".join(
        file.read_bytes().decode("latin-1") for file in path.parent.glob(f"{path.name}*")
    )


@pytest.mark.slow
def test_the_key_shows_nowhere_however_a_flow_run_ends(
    emulator, save_block, monkeypatch, caplog, capfd
):
    """A run that completes, one that fails, one whose service vanishes, and one that is refused."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_RELEASE_WITHIN", "2")
    caplog.set_level("DEBUG")
    block = save_block(emulator)
    seen: list[str] = []

    @session_flow(block, backend="ibm_manila")
    def completes() -> None:
        measure_one()
        seen.extend((processes(), ledger()))

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
    seen += [prefects_memory(flow_run_ids), database(), caplog.text, *capfd.readouterr()]

    assert "loses-its-service" in database()

    assert ["close", "cancel", None] == outcomes(emulator)
    assert isinstance(states[-1].result(raise_on_failure=False), QSessionError)
    for trace in ("Opened session", "sidecar.py", "qsession_"):
        assert trace in "".join(seen), "the places that are searched are the right ones"
    assert not [text for text in seen if KEY in text]


def test_the_key_shows_nowhere_after_a_kill(make_emulator, save_block, tmp_path):
    """What a killed flow run leaves behind, while its guardian acts and afterwards."""
    emulator = make_emulator(
        instances=(InstanceSettings(api_keys=(KEY,)),),
        timing=TimingSettings(fixed_seconds=2.0),
        hand_clock=True,
    )
    with (tmp_path / "output").open("wb") as output:
        process = start_program(save_block(emulator), "decorator", "body", output)
    wait_until(lambda: active(emulator))
    seen = [processes(), ledger(), processes_of(process.pid)]
    process.kill()
    process.wait()
    wait_until(lambda: not emulator.sessions[0].accepting_jobs)
    emulator.clock.advance(2.0)
    seen += [processes(), ledger(), database(), (tmp_path / "output").read_text()]

    assert ["cancel"] == outcomes(emulator)
    for trace in ("Opened session", "sidecar.py", "qsession_"):
        assert trace in "".join(seen), "the places that are searched are the right ones"
    assert not [text for text in seen if KEY in text]
