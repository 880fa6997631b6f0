"""Whether a process is there, asked of real ones."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_qsession.release.processes import identity_of, liveness, this_process
from prefect_qsession.release.records import Liveness
from tests.harness.waiting import wait_until

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is claimed")


@contextmanager
def sleeper(program="/bin/sleep"):
    """Run a process that waits; not reaped before the end."""
    process = subprocess.Popen([program, "600"])
    try:
        # Until it has become the program, it has this one's name.
        wait_until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().endswith(b"600\0"))
        yield process
    finally:
        process.kill()
        process.wait()


def state(pid) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_this_process_is_alive():
    """It knows itself, and is the same each time."""
    me = this_process()

    assert me == this_process() == identity_of(os.getpid())
    assert os.getpid() == me.pid
    assert Liveness.ALIVE == liveness(me)


def test_another_process_is_alive_until_it_ends():
    """Running, stopped, a zombie that nobody has waited for, and gone."""
    with sleeper() as process:
        identity = identity_of(process.pid)
        running = liveness(identity)
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: state(process.pid) == "T")
        stopped = liveness(identity)
        process.kill()
        wait_until(lambda: state(process.pid) == "Z")
        zombie = liveness(identity)
        process.wait()
        gone = liveness(identity)

    assert ["alive", "alive", "gone", "gone"] == [running, stopped, zombie, gone]


def test_a_pid_that_was_given_again_is_not_the_same_process():
    """What started at another time is another process."""
    me = this_process()

    assert Liveness.GONE == liveness(replace(me, start_ticks=me.start_ticks - 1))


def test_a_name_with_spaces_and_parentheses_is_read_past(tmp_path):
    """The kernel prints the name of a process as it stands, between the fields."""
    program = shutil.copy("/bin/sleep", tmp_path / "a) Z 1 (b")
    with sleeper(program) as process:
        identity = identity_of(process.pid)

        assert "a) Z 1 (b" in Path(f"/proc/{process.pid}/stat").read_text()
        assert identity.start_ticks >= this_process().start_ticks
        assert Liveness.ALIVE == liveness(identity)


@pytest.mark.parametrize(
    "changes",
    [
        {"boot_id": "another"},
        {"pid_namespace": "pid:[1]"},
        {"boot_id": None, "pid_namespace": None, "start_ticks": None},
        {"start_ticks": None},
        {"boot_id": "another", "pid": 2**22 + 1},
    ],
    ids=["boot", "namespace", "system that does not tell", "no start", "boot, and no such pid"],
)
def test_what_cannot_be_seen_from_here_is_unknown(changes):
    """No claim is made of other kernels and containers, whatever pids there are here."""
    assert Liveness.UNKNOWN == liveness(replace(this_process(), **changes))


def test_a_forked_child_has_an_identity_of_its_own():
    """It is not taken for its parent, whose memory it has."""
    program = """
import os
from prefect_qsession.release.processes import liveness, this_process
parent = this_process()
if os.fork() == 0:
    me = this_process()
    print(me.pid == os.getpid(), me.pid != parent.pid, liveness(me), liveness(parent), flush=True)
    os._exit(0)
os.wait()
"""
    # In a process of its own: this one has threads, and they do not survive a fork.
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )

    assert "True True alive alive" == finished.stdout.strip()
