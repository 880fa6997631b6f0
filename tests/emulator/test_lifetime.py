"""Starting and stopping: nothing is left behind."""

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from prefect_qsession.emulator import (
    DeviceSettings,
    Emulator,
    EmulatorSettings,
    InstanceSettings,
    QueueSettings,
    SimulatorPool,
    TimingSettings,
)
from tests.programs import started

from .conftest import REPOSITORY


def open_descriptors() -> set[str]:
    """Return the numbers of this process's open files and sockets."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


SERVE = """
import sys
from prefect_qsession.emulator import serve

serve(on_ready=lambda emulator: print(emulator.url, flush=True))
print("ended", flush=True)
"""


def test_an_emulator_leaves_no_thread_and_no_port_behind():
    """After the context, the threads, processes and sockets of an emulator are gone."""
    threads = set(threading.enumerate())
    descriptors = open_descriptors()
    with Emulator() as emulator:
        assert requests.get(emulator.url, timeout=5).ok
        url = emulator.url

    assert threads == set(threading.enumerate())
    assert descriptors == open_descriptors()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


def test_an_emulator_ends_cleanly_when_its_context_fails(simulators):
    """An exception inside the context passes through, and the server stops all the same."""
    emulator = Emulator(simulators=simulators)

    def fail_inside() -> None:
        with emulator:
            assert requests.get(emulator.url, timeout=5).ok
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()

    with pytest.raises(requests.ConnectionError):
        requests.get(emulator.url, timeout=5)


def test_stopping_twice_is_no_error(simulators):
    """`stop` may be called again, and on an emulator that never started."""
    emulator = Emulator(simulators=simulators)
    emulator.stop()
    Emulator(simulators=simulators).start().stop()
    emulator.stop()


def test_the_port_can_be_chosen(simulators):
    """A named port is used; one that is taken is an error at the start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Emulator(port=port, simulators=simulators) as emulator:
        assert f"http://127.0.0.1:{port}/experimental/api/v1" == emulator.runtime_url
        with pytest.raises(OSError, match="in use"):
            Emulator(port=port, simulators=simulators).start()


def test_a_shared_pool_outlives_its_emulators(simulators):
    """An emulator leaves a pool it was given as it is."""
    with Emulator(simulators=simulators):
        pids = simulators.process_ids()

    assert pids == simulators.process_ids() != []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_served_emulator_ends_on_a_signal(ending):
    """SIGINT and SIGTERM end the blocking server, and its caller goes on."""
    with started(
        [sys.executable, "-c", SERVE],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        url = process.stdout.readline().strip()
        assert requests.get(url, timeout=5).ok
        process.send_signal(ending)
        output, problems = process.communicate(timeout=30)

    assert "Traceback" not in problems
    assert ("ended\n", 0) == (output, process.returncode)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EmulatorSettings(instances=()),
        lambda: EmulatorSettings(instances=(InstanceSettings(), InstanceSettings())),
        lambda: EmulatorSettings(devices=()),
        lambda: EmulatorSettings(time_scale=0),
        lambda: EmulatorSettings(skip_waits=True),
        lambda: InstanceSettings(usage_limit_seconds=-1),
        lambda: InstanceSettings(usage_allocation_seconds=-1),
        lambda: QueueSettings(jobs_ahead=-1),
        lambda: TimingSettings(overhead_seconds=-1),
        lambda: TimingSettings(spread=2),
        lambda: Emulator(EmulatorSettings(devices=(DeviceSettings("ibm_x", "no-such-model"),))),
    ],
)
def test_settings_that_make_no_sense_are_refused(make):
    """What could not work is an error before anything starts."""
    with pytest.raises(ValueError, match=r"."):
        make()


def test_a_pool_is_started_by_its_first_task(simulators):
    """Constructing a pool or an emulator starts no process."""
    pool = SimulatorPool()
    Emulator(simulators=pool)

    assert [] == pool.process_ids()
    pool.close()
