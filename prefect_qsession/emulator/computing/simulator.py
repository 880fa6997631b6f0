"""
The simulator process: `python -m prefect_qsession.emulator.computing.simulator`.

Reads tasks from its standard input, writes outcomes to its standard output, and ends when the other
side is gone, whatever it is computing then.
"""

import os
import queue
import select
import sys
import threading
from contextlib import suppress
from typing import BinaryIO

from prefect_qsession.emulator.computing.messages import receive_task, send_outcome
from prefect_qsession.emulator.rules.simulation import SimulationTask

MEMORY_LIMIT_BYTES = 12 * 2**30
_PARENT_CHECK_SECONDS = 2.0


def main() -> None:
    """Compute tasks until the pipe closes."""
    source, answers = _take_over_pipes()
    tasks: queue.SimpleQueue[SimulationTask] = queue.SimpleQueue()
    reader = threading.Thread(target=_read_tasks, args=(source, tasks), daemon=True)
    reader.start()
    _limit_memory()
    # The imports take seconds: after the reader's start, before the first task.
    from prefect_qsession.emulator.computing.programs.dispatch import run_program  # noqa: PLC0415

    while True:
        send_outcome(run_program(tasks.get()), answers)


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for messages: whatever prints goes to standard error."""
    source = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return source, answers


def _read_tasks(source: BinaryIO, tasks: "queue.SimpleQueue[SimulationTask]") -> None:
    """
    Queue tasks; end the process when the service is gone.

    The pipe's end alone would not do: a process the service forked may hold it open.
    """
    parent = os.getppid()
    while True:
        while not select.select([source], [], [], _PARENT_CHECK_SECONDS)[0]:
            if os.getppid() != parent:
                os._exit(0)
        try:
            tasks.put(receive_task(source))
        except (EOFError, OSError, ValueError):
            os._exit(0)


def _limit_memory() -> None:
    """Have a task that is too large fail in this process instead of exhausting the machine."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - there is none on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        resource.setrlimit(resource.RLIMIT_AS, (min(MEMORY_LIMIT_BYTES, physical), hard))


if __name__ == "__main__":
    # A broken pipe means the service is gone: nobody is left to tell.
    with suppress(BrokenPipeError, KeyboardInterrupt):
        main()
    sys.stderr.flush()
    os._exit(0)
