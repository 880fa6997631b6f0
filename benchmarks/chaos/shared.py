"""What the trials share with the flow runs that live on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition

from demo.servers import PrefectServer
from prefect_qsession.emulator import SimulatorPool
from tests.harness.forks import ForkServer


class ReaperLock:
    """
    Any number of ends at once, or one reaper alone; a reaper that waits goes first.

    A reaper that looks at everything while an end is judged could do what is the guardian's to do,
    and nobody would notice.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._ends = 0
        self._reapers = 0
        self._reaping = False

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Wait for reapers, and keep them out."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reapers)
            self._ends += 1
        try:
            yield
        finally:
            with self._changed:
                self._ends -= 1
                self._changed.notify_all()

    @contextmanager
    def reaping(self) -> Iterator[None]:
        """Wait until what has ended is judged, and let nothing end meanwhile."""
        with self._changed:
            self._reapers += 1
            self._changed.wait_for(lambda: not self._ends and not self._reaping)
            self._reaping = True
        try:
            yield
        finally:
            with self._changed:
                self._reaping = False
                self._reapers -= 1
                self._changed.notify_all()


@dataclass(frozen=True)
class Shared:
    """One Prefect server, one process that forks scripts, and where they leave what they leave."""

    server: PrefectServer
    fork_server: ForkServer
    simulators: SimulatorPool
    directory: Path
    reaper_lock: ReaperLock = field(default_factory=ReaperLock)
