"""One sidecar process, as the flow's side sees it: started, told, waited for, killed."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from prefect_qsession.exceptions import GuardianUnavailable
from prefect_qsession.release.guardian.messages import Message

SIDECAR = Path(__file__).with_name("sidecar.py")

# Where a Python of its own making finds its shared libraries; nothing else is inherited.
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class SidecarProcess:
    """
    A guardian's process that has just been started, guarding nothing yet.

    It belongs to no terminal, no process group and no pipe of the flow's, and inherits nothing of
    its environment. Its command line says what it is and whose, and holds no secret.

    Args:
        clock: Tells the time that the deadlines of `tell` are set by.

    Raises:
        GuardianUnavailable: The system started no process.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unread = b""
        pidfd = _pidfd_of_this_process()
        watched = () if pidfd is None else (pidfd,)
        command = [sys.executable, "-I", "-S", str(SIDECAR), f"flow-process={os.getpid()}"]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own file by our own Python
                [*command, *map(str, watched)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Not inherited: the process may outlive the flow's, and would hold its terminal.
                stderr=subprocess.DEVNULL,
                pass_fds=watched,
                start_new_session=True,
                cwd="/",
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
            )
        except OSError as error:
            raise GuardianUnavailable(f"{error.strerror} ({sys.executable}).") from error
        finally:
            for descriptor in watched:
                os.close(descriptor)
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        assert self._process.stdout is not None  # noqa: S101
        self._commands = self._process.stdin
        self._answers = self._process.stdout
        # A process that reads nothing must not make us wait for ever either.
        os.set_blocking(self._commands.fileno(), False)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def tell(self, message: Message, until: float) -> int:
        """
        Send a message; return how many sessions are guarded, once it says so.

        After any error, an interruption included, it must be killed: its answers may lag behind.

        Raises:
            GuardianUnavailable: It did not answer by then, or is gone.
        """
        line = json.dumps(message).encode() + b"\n"
        try:
            if os.write(self._commands.fileno(), line) < len(line):
                raise GuardianUnavailable("it takes no message of that length.")
            return int(self._read_answer(until)["guarded"])
        # ValueError: closed, because it has ended.
        except (OSError, ValueError) as error:
            raise GuardianUnavailable("it is gone.") from error

    def wait(self) -> None:
        """Wait until the process has ended."""
        self._process.wait()

    def kill(self) -> None:
        """End the process at once, if it still runs; it releases nothing then."""
        with suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """Let go of the pipes."""
        self._commands.close()
        self._answers.close()

    def disown(self) -> None:
        """Let go of it in a forked child: it is the parent's, and so is waiting for it."""
        self.close()
        self._process.returncode = 0

    def _read_answer(self, until: float) -> Message:
        poll = select.poll()
        poll.register(self._answers.fileno(), select.POLLIN)
        while b"\n" not in self._unread:
            seconds = until - self._clock()
            if seconds <= 0 or not poll.poll(seconds * 1000):
                raise GuardianUnavailable("it does not answer.")
            received = self._answers.read(65536)
            if not received:
                raise GuardianUnavailable("it is gone.")
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        answer: Message = json.loads(line)
        return answer


def _pidfd_of_this_process() -> int | None:
    """Return a descriptor that tells when this process ends; None where the system has none."""
    try:
        return os.pidfd_open(os.getpid())
    except (AttributeError, OSError):
        return None
