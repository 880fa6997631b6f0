"""What the kernel knows of processes (man 5 proc); Linux only."""

import os
import signal
from pathlib import Path

PROC = Path("/proc")


def is_alive(pid: int) -> bool:
    """Whether there is a process of that pid that has not ended."""
    return _stat(pid) not in (None, "Z", "X")


def descendants(pid: int) -> set[int]:
    """Return the living children of a process, and theirs."""
    children: dict[int, set[int]] = {}
    for path in PROC.iterdir():
        if path.name.isdecimal() and (parent := _parent(int(path.name))) is not None:
            children.setdefault(parent, set()).add(int(path.name))
    found: set[int] = set()
    ahead = {pid}
    while ahead:
        ahead = {child for parent in ahead for child in children.get(parent, ())} - found
        found |= ahead
    return found


def command_line(pid: int) -> str:
    """Return the words of its command; empty if it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def resident_mib() -> float:
    """Return the memory of this process, as it is now."""
    return _memory("self", "VmRSS")


def peak_mib(pid: int | str = "self") -> float:
    """Return the most memory that a process has held at once; not by its parent's, as getrusage."""
    return _memory(pid, "VmHWM")


def cpu_seconds(pid: int) -> float:
    """Return a process's time on a processor."""
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int | str, which: str) -> float:
    lines = (PROC / f"{pid}/status").read_text().splitlines()
    [kib] = [line.split()[1] for line in lines if line.startswith(f"{which}:")]
    return int(kib) / 1024


def _stat(pid: int) -> str | None:
    fields = _fields(pid)
    return fields[0] if fields else None


def _parent(pid: int) -> int | None:
    fields = _fields(pid)
    return int(fields[1]) if fields else None


def _fields(pid: int) -> list[str]:
    """Return the fields of its `stat` from the state on; none if it is gone."""
    try:
        # The command name before them may hold spaces and parentheses.
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def heed_signals() -> None:
    """
    Have Ctrl-C and the terminal's end act as usual on all that this process starts.

    A shell that runs it in the background has it ignore Ctrl-C, nohup has it ignore the terminal's
    end, and every child inherits that; what is handled here is the default there.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
