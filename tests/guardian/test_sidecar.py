"""The guardian's own process: what it shows, what it costs, and what does not end it."""

import ast
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_qsession.emulator import Answer, Fault
from prefect_qsession.release.guardian.messages import guard
from prefect_qsession.release.guardian.process import SIDECAR
from prefect_qsession.release.guardian.sidecar import IGNORED_SIGNALS
from tests.guardian.conftest import is_running, outcomes
from tests.harness.waiting import wait_until


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def _cpu_ticks(pid: int) -> int:
    fields = _proc(pid, "stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident_megabytes(pid: int) -> float:
    [line] = [line for line in _proc(pid, "status").splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def test_the_guardian_shows_what_it_is_and_no_secret(flow_process, open_ward, ledger):
    """Neither its command line nor its environment tells a key, the ledger's included."""
    ward = open_ward(forget=ledger.forget)
    guardian = flow_process.guard(ward)
    command, environment = _proc(guardian, "cmdline"), _proc(guardian, "environ")

    assert "prefect_qsession/release/guardian/sidecar.py" in command
    assert f"flow-process={flow_process.process.pid}" in command
    for secret in (ward.access.api_key, "of-the-ledger", "a-secret-of-the-environment"):
        assert secret not in command + environment


def test_the_guardian_is_small_and_idle(flow_process, open_ward, record_property):
    """At most 40 MB, and no time of a processor while its wards are left alone."""
    wards = [open_ward() for _ in range(10)]
    [guardian] = {flow_process.guard(ward) for ward in wards}
    wait_until(lambda: "S" in _proc(guardian, "stat").rpartition(")")[2].split()[0])
    before = _cpu_ticks(guardian)
    # Something of the flow's, that takes a while and does not concern the guardian.
    for _ in range(10):
        open_ward()
    megabytes = _resident_megabytes(guardian)
    record_property("megabytes", megabytes)

    assert megabytes <= 40
    assert before == _cpu_ticks(guardian)


def test_the_guardian_stays_small_with_every_certificate_read(flow_process, open_ward):
    """They are read when it begins to guard, whatever the disk holds later."""
    ward = open_ward(runtime_url="https://quantum.example/api/v1", auth_url="https://iam.example")
    guardian = flow_process.guard(ward)
    megabytes = _resident_megabytes(guardian)
    flow_process.ask("discharge", ward.session_id)

    assert megabytes <= 40


def test_the_guardian_shares_nothing_that_ends_with_the_flow_or_outlives_it(
    flow_process, open_ward
):
    """A session of its own, the root as its directory, no open file but its pipes and pidfd."""
    guardian = flow_process.guard(open_ward())
    descriptors = Path(f"/proc/{guardian}/fd")
    targets = sorted(str(link.readlink()).partition(":")[0] for link in descriptors.iterdir())

    assert guardian == os.getsid(guardian)
    assert Path("/") == Path(f"/proc/{guardian}/cwd").readlink()
    assert ["/dev/null", "anon_inode", "pipe", "pipe"] == [t.split("[")[0] for t in targets]


@pytest.mark.parametrize("name", IGNORED_SIGNALS)
def test_a_signal_that_was_meant_for_the_flow_leaves_the_guardian_at_its_post(
    name, flow_process, open_ward, emulator
):
    """What a terminal or a shutdown sends to everything does not end it, nor stop it."""
    guardian = flow_process.guard(open_ward())
    os.kill(guardian, getattr(signal, name))
    after = flow_process.guard(open_ward())
    flow_process.end()
    wait_until(lambda: not is_running(guardian))

    assert guardian == after
    assert ["cancel", "cancel"] == outcomes(emulator)


def test_a_guardian_that_still_tries_holds_no_pipe_of_the_flow(flow_process, open_ward, emulator):
    """Whoever reads the output of the flow's process sees its end at once."""
    emulator.faults.add(Fault("/sessions/{id}/close", Answer(503)))
    guardian = flow_process.guard(open_ward())
    os.kill(flow_process.process.pid, signal.SIGKILL)
    for stream in (flow_process.process.stdout, flow_process.process.stderr):
        ready, _, _ = select.select([stream], [], [], 10.0)
        assert [stream] == ready
        assert "" == stream.read()

    assert is_running(guardian)
    assert [None] == outcomes(emulator)


class Bare:
    """The guardian's program, started by hand, over a process that the test may end."""

    def __init__(self, *, pidfd: bool) -> None:
        self.flow = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.pidfd = os.pidfd_open(self.flow.pid) if pidfd else None
        reading, self.writing = os.pipe()
        self.commands = open(self.writing, "wb", buffering=0)  # noqa: PTH123, SIM115
        self.reading = reading

    def say(self, message: dict) -> None:
        """Say something, heard or not."""
        self.commands.write(json.dumps(message).encode() + b"\n")

    def end_flow(self) -> None:
        """End the process that is watched."""
        self.flow.kill()
        self.flow.communicate()

    def start(self) -> subprocess.Popen:
        """Start the program."""
        watched = () if self.pidfd is None else (self.pidfd,)
        program = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SIDECAR), "flow-process=0", *map(str, watched)],
            stdin=self.reading,
            stdout=subprocess.PIPE,
            pass_fds=watched,
            text=True,
        )
        os.close(self.reading)
        return program

    def clear(self, program: subprocess.Popen) -> None:
        """Leave nothing behind."""
        self.end_flow()
        self.commands.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
        program.kill()
        program.communicate()


def test_the_last_word_of_a_process_that_died_is_heard(open_ward, emulator):
    """A session whose message is still in the pipe when the process is gone is released too."""
    bare = Bare(pidfd=True)
    # More than is read at once.
    fcntl.fcntl(bare.writing, fcntl.F_SETPIPE_SZ, 2**19)
    first, last = open_ward(), open_ward()
    for ward in [first] * 100 + [last]:
        bare.say(guard(ward))
    bare.end_flow()
    program = bare.start()
    program.wait(30)
    bare.clear(program)

    assert ["cancel", "cancel"] == outcomes(emulator)


def test_without_a_pidfd_the_end_of_the_pipe_is_the_death(open_ward, emulator):
    """As on systems that have none."""
    bare = Bare(pidfd=False)
    program = bare.start()
    bare.say(guard(open_ward()))
    answer = json.loads(program.stdout.readline())
    before = outcomes(emulator)
    bare.commands.close()
    program.wait(30)
    bare.clear(program)

    assert {"guarded": 1} == answer
    assert [None] == before
    assert ["cancel"] == outcomes(emulator)


def test_with_a_pidfd_the_end_of_the_pipe_is_not_the_death(open_ward, emulator):
    """The process lives, and so does its session; the guardian stays, without turning in vain."""
    bare = Bare(pidfd=True)
    program = bare.start()
    bare.say(guard(open_ward()))
    program.stdout.readline()
    bare.commands.close()
    # It has read the end once it sleeps again; were it to turn in vain, it would not sleep.
    before = _cpu_ticks(program.pid)
    open_wards = [open_ward() for _ in range(10)]
    after = _cpu_ticks(program.pid)
    running = program.poll() is None
    still_open = outcomes(emulator)[0] is None
    bare.end_flow()
    program.wait(30)
    bare.clear(program)

    assert 10 == len(open_wards)
    assert after - before <= 2
    assert running
    assert still_open
    assert "cancel" == outcomes(emulator)[0]


@pytest.mark.parametrize("pidfd", [True, False])
def test_a_guardian_that_was_never_told_anything_ends_with_the_pipe(pidfd):
    """No orphan is left by a flow that dies, or thinks better of it, before it guards."""
    bare = Bare(pidfd=pidfd)
    program = bare.start()
    bare.commands.close()
    program.wait(30)
    bare.clear(program)

    assert 0 == program.returncode


def test_the_program_needs_nothing_but_the_standard_library():
    """It is run without site-packages, and imports nothing of this package."""
    tree = ast.parse(SIDECAR.read_text())
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported
    assert set() == imported - sys.stdlib_module_names
