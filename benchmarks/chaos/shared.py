"""What the trials share with the flow runs that live on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Semaphore

from demo.servers import PrefectServer
from prefect_qsession.emulator import SimulatorPool
from tests.harness.forks import ForkServer

MOST_ENDS = 1000
"""At once; there are not so many lanes."""


class ReaperLock:
    """
    Any number of ends at once, or one reaper alone; a reaper that waits goes first.

    A reaper that looks at everything while an end is judged could do what is the guardian's to do,
    and nobody would notice.
    """

    def __init__(self) -> None:
        self._turn = Lock()
        self._ends = Semaphore(MOST_ENDS)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Wait for reapers, and keep them out."""
        with self._turn:
            self._ends.acquire()
        try:
            yield
        finally:
            self._ends.release()

    @contextmanager
    def reaping(self) -> Iterator[None]:
        """Wait until what has ended is judged, and let nothing end meanwhile."""
        with self._turn:
            for _ in range(MOST_ENDS):
                self._ends.acquire()
            try:
                yield
            finally:
                self._ends.release(MOST_ENDS)


@dataclass(frozen=True)
class Shared:
    """One Prefect server, one process that forks scripts, and where they leave what they leave."""

    server: PrefectServer
    fork_server: ForkServer
    simulators: SimulatorPool
    directory: Path
    reaper_lock: ReaperLock = field(default_factory=ReaperLock)
