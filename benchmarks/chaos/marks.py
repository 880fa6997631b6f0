"""What a flow run and whoever ends it tell each other."""

import time
from pathlib import Path

from benchmarks.endings import marks


class Marks(marks.Marks):
    """The marks of one trial, with one more: when the flow run stopped running jobs."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._stopped = directory / "stopped"

    def stop(self) -> None:
        """Say that no more jobs will follow; the flow's side."""
        unfinished = self._stopped.with_suffix(".unfinished")
        unfinished.write_text(str(time.time()))
        unfinished.rename(self._stopped)

    @property
    def stopped_at(self) -> float | None:
        """When it said so, if it has."""
        return float(self._stopped.read_text()) if self._stopped.exists() else None
