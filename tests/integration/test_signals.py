"""A flow run in a process of its own, ended from outside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import get_current_settings

from prefect_qsession.emulator import TimingSettings
from tests.harness.waiting import wait_until
from tests.integration.conftest import outcomes

REPOSITORY = Path(__file__).parents[2]

PROGRAM = """
import sys
from prefect_qsession import SessionTaskRunner, session_flow
from prefect import flow
from tests.integration.conftest import measure_one, one

block, kind, place = sys.argv[1:]

def body():
    if place == "submitted":
        measure_one.submit().result()
    else:
        one()

if kind == "runner":
    run = flow(task_runner=SessionTaskRunner(block, backend="ibm_manila"))(body)
else:
    run = session_flow(block, backend="ibm_manila")(body)
run()
"""


def active(emulator) -> bool:
    """Whether the emulator runs a job of ours."""
    return any(job.status == "Running" for job in emulator.jobs)


def start_program(block, kind, place, output=subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start the flow run in a process, and a process group, of its own."""
    environment = {
        **os.environ,
        **get_current_settings().to_environment_variables(exclude_unset=True),
        "PYTHONPATH": str(REPOSITORY),
        "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, block, kind, place],
        env=environment,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


@pytest.mark.parametrize("kind", ["decorator", "runner"])
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("place", ["body", "submitted"])
def test_a_signal_while_a_job_runs_cancels_the_session(
    place, sent, kind, make_emulator, save_block
):
    """Also while a thread waits for its job: the session goes before the threads are joined."""
    # Time stands still: the job runs for as long as it takes us to look.
    emulator = make_emulator(hand_clock=True, timing=TimingSettings(fixed_seconds=6.0))
    process = start_program(save_block(emulator), kind, place)
    try:
        wait_until(lambda: active(emulator))
        process.send_signal(sent)
        wait_until(lambda: not emulator.sessions[0].accepting_jobs)
        # The request came while the job ran, not when it was over.
        assert active(emulator)
        emulator.clock.advance(6.0)
    finally:
        process.kill()
        process.wait()

    assert ["cancel"] == outcomes(emulator)
    assert ["Completed"] == [job.status for job in emulator.jobs]
