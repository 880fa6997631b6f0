"""
Which process this is, and whether another one is still there.

A pid alone names nothing: it is given again, and means another process in each container. With the
boot of the kernel, the container's namespace of pids and the start on the kernel's own clock, no
two processes are ever taken for each other. Where the system does not tell these (it is not Linux,
or shows another container's `/proc`), nothing is claimed: every process there is `UNKNOWN`.
"""

import os
import socket
from functools import cache
from pathlib import Path

from prefect_qsession.release.records import Liveness, ProcessIdentity

_PROC = Path("/proc")
_ENDED = frozenset("ZXx")
"""States of a process that has ended and waits for its parent to notice (man 5 proc_pid_stat)."""


def this_process() -> ProcessIdentity:
    """Return the identity of the process that asks; a forked child gets its own."""
    return _identity(os.getpid())


def identity_of(pid: int) -> ProcessIdentity:
    """Return the identity of a process that this one can see."""
    stat = _stat(pid) if _proc_is_ours() else None
    return ProcessIdentity(
        host=socket.gethostname(),
        pid=pid,
        boot_id=_boot_id() if stat else None,
        pid_namespace=_pid_namespace() if stat else None,
        start_ticks=stat[1] if stat else None,
    )


def liveness(identity: ProcessIdentity) -> Liveness:
    """
    Tell whether a process is there; never raises.

    `GONE` is certain: it lived under this boot of this kernel and in this namespace of pids, and
    is there no longer, or is a zombie. A stopped process is `ALIVE`: a paused laptop goes on
    later. Whatever lived elsewhere is `UNKNOWN`, and so is what lived on a machine of the same name
    before a restart, because names of machines and containers are not unique.
    """
    here = this_process()
    if here.boot_id is None or here.pid_namespace is None or identity.start_ticks is None:
        return Liveness.UNKNOWN
    if (identity.boot_id, identity.pid_namespace) != (here.boot_id, here.pid_namespace):
        return Liveness.UNKNOWN
    stat = _stat(identity.pid)
    if stat is None:
        # A /proc mounted with `hidepid` does not show the processes of other users.
        return Liveness.UNKNOWN if _exists(identity.pid) else Liveness.GONE
    state, start_ticks = stat
    if state in _ENDED or start_ticks != identity.start_ticks:
        return Liveness.GONE
    return Liveness.ALIVE


@cache
def _identity(pid: int) -> ProcessIdentity:
    return identity_of(pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _proc_is_ours() -> bool:
    """Whether `/proc` speaks of the pids that we see; a container may have been given another's."""
    try:
        return (_PROC / "self").readlink() == Path(str(os.getpid()))
    except OSError:
        return False


def _stat(pid: int) -> tuple[str, int] | None:
    """Return the state of a process and when it started; None if it is not there to be seen."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # Field 2 is the command's name in parentheses, and may itself hold spaces and parentheses.
    from_field_3 = text.rpartition(")")[2].split()
    return from_field_3[0], int(from_field_3[22 - 3])


def _boot_id() -> str | None:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def _pid_namespace() -> str | None:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return None
