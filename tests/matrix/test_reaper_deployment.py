"""The reaper as it is deployed, started by Prefect's own automation."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGSTOP
from uuid import uuid4

import pytest
from prefect import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed

from demo.servers import ROOT, PrefectServer
from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.emulator import TimingSettings
from prefect_qsession.release.ledger import PrefectLedger
from tests.harness.waiting import wait_until
from tests.integration.test_signals import active, start_program

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path) -> Iterator[PrefectServer]:
    """Run a Prefect server, and make its API this process's own."""
    with (
        PrefectServer(tmp_path / "prefect") as server,
        temporary_settings({PREFECT_API_URL: server.url}),
    ):
        yield server


def test_a_crash_starts_the_served_reaper(server, make_emulator):
    """A machine dies, its flow run with it; once that is called Crashed, its session goes too."""
    emulator = make_emulator(hand_clock=True, timing=TimingSettings(fixed_seconds=6.0))
    block = f"reaped-{uuid4()}"
    QiskitRuntimeCredentials.from_environment(emulator.environment()).save(block)
    with subprocess.Popen(
        [sys.executable, "-m", "deployments.serve"],
        cwd=ROOT,
        env=server.environment() | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        try:
            assert any("being served" in line for line in serving.stdout)
            process = start_program(block, "decorator", "body")
            wait_until(lambda: active(emulator))
            [entry] = PrefectLedger().entries()
            # The guardian first, and the flow's process before it can start another.
            process.send_signal(SIGSTOP)
            children = Path(f"/proc/{process.pid}/task").glob("*/children")
            for pid in " ".join(file.read_text() for file in children).split():
                os.kill(int(pid), SIGKILL)
            process.kill()
            process.wait()
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(entry.flow_run_id, Crashed(), force=True)
            wait_until(lambda: not emulator.sessions[0].accepting_jobs)
            wait_until(lambda: PrefectLedger().find(entry.session_id) is None)
        finally:
            serving.terminate()

    emulator.clock.advance(6.0)
    assert ["cancel"] == [session.ended_by for session in emulator.sessions]
