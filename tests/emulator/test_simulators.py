"""The simulator processes: what they cost when something goes wrong, and that none is left."""

import os
import select
import signal
import subprocess
import sys
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from prefect_qsession.emulator import Emulator, EmulatorSettings, SimulatorPool, TimingSettings
from tests.programs import started

from .conftest import REPOSITORY, legacy_sampler, one_bit
from .test_payloads import task_for


@pytest.fixture
def pool():
    """Start a pool that a test may harm."""
    with SimulatorPool(limit_seconds=30) as pool:
        yield pool


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_process_that_is_killed_costs_its_job_and_is_replaced(pool):
    """The job whose process dies fails by the service's fault; the next one is computed."""
    pool.submit(task_for(one_bit())).result(timeout=60)
    [before] = pool.process_ids()
    os.kill(before, signal.SIGKILL)

    outcomes = [pool.submit(task_for(one_bit())).result(timeout=60) for _ in range(2)]

    assert (9707, False) == (outcomes[0].reason_code, outcomes[0].user_error)
    assert outcomes[1].result is not None
    assert [before] != pool.process_ids()


def test_a_simulation_that_takes_too_long_is_given_up():
    """A process that does not answer within the limit is killed, and its job fails."""
    with SimulatorPool(limit_seconds=0.01) as pool:
        outcome = pool.submit(task_for(one_bit())).result(timeout=60)

    assert 9707 == outcome.reason_code


def test_closing_a_pool_ends_its_processes_and_answers_every_task():
    """Nothing is left of a closed pool, and no future is left without a result."""
    pool = SimulatorPool()
    futures = [pool.submit(task_for(one_bit())) for _ in range(3)]
    pids = pool.process_ids()
    pool.close()
    pool.close()
    futures.append(pool.submit(task_for(one_bit())))

    assert not wait(futures, timeout=30).not_done
    assert not any(is_alive(pid) for pid in pids)
    assert 9707 == futures[-1].result().reason_code


class Nonsense(SimulatorPool):
    """Computes what is no outcome, or refuses to compute."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def submit(self, task):  # noqa: ARG002 - as it is called
        if self.how == "refuses":
            raise RuntimeError("no more of it")
        future = Future()
        if self.how == "raises":
            future.set_exception(MemoryError("too much"))
        else:
            future.set_result("nonsense")
        return future


@pytest.mark.parametrize("how", ["nonsense", "raises", "refuses"])
def test_a_job_whose_outcome_is_unusable_fails_loudly(how, caplog, connect):
    """By the service's fault, in the log and in the job; those after it run."""
    with Emulator(
        EmulatorSettings(timing=TimingSettings.instant()), simulators=Nonsense(how)
    ) as emulator:
        backend = connect(emulator).backend("ibm_manila")
        jobs = [legacy_sampler(backend).run([one_bit()]) for _ in range(2)]
        for job in jobs:
            job.wait_for_final_state(timeout=20)

        assert ["Failed", "Failed"] == [job.status for job in emulator.jobs]
    assert any(record.exc_info for record in caplog.records)


def test_a_simulator_ends_when_the_service_is_killed():
    """A simulator whose service died by SIGKILL ends by itself."""
    program = (
        "import sys, time\n"
        "from prefect_qsession.emulator import SimulatorPool\n"
        "pool = SimulatorPool(); pool.start()\n"
        "while not pool.process_ids(): time.sleep(0.01)\n"
        "print(*pool.process_ids(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with started(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as service:
        pid = int(service.stdout.readline())
        watched = os.pidfd_open(pid)
        service.kill()

    ended = select.select([watched], [], [], 30)[0]
    os.close(watched)
    assert [watched] == ended


def test_a_pool_needs_a_process():
    """A pool without processes is refused."""
    with pytest.raises(ValueError, match="at least one"):
        SimulatorPool(0)
