"""What a flow run and whoever ends it tell each other: files in a directory of their own."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import UUID


@dataclass(frozen=True)
class Mark:
    """One flow run that has begun: its process, and when that was."""

    flow_run_id: UUID
    pid: int
    began_at: float


class Marks:
    """
    The marks of one trial.

    A flow run writes that it has begun and that it waits; it goes on when it is let go. Both sides
    only ask whether a file exists, so that no death of either can hang the other.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stopped = directory / "stopped"

    @classmethod
    def in_new(cls, directory: Path) -> Self:
        """Make the directory, and return its marks."""
        for name in ("begun", "waiting"):
            (directory / name).mkdir(parents=True)
        return cls(directory)

    # -- the flow run's side

    def begin(self, flow_run_id: str, pid: int) -> None:
        """Say that the body of a flow run has begun."""
        unfinished = self._directory / flow_run_id
        unfinished.write_text(f"{pid} {time.time()}")
        unfinished.rename(self._directory / "begun" / flow_run_id)

    def wait(self, flow_run_id: str) -> None:
        """Say that the flow run is between jobs; from now on `may_go` tells whether to go on."""
        (self._directory / "waiting" / flow_run_id).touch()

    def stop(self) -> None:
        """Say that no more jobs will follow."""
        unfinished = self._stopped.with_suffix(".unfinished")
        unfinished.write_text(str(time.time()))
        unfinished.rename(self._stopped)

    @property
    def may_go(self) -> bool:
        """Whether the flow run has been let go."""
        return (self._directory / "go").exists()

    # -- the other side

    def begun(self) -> list[Mark]:
        """Return the flow runs that have begun, the first one first."""
        marks = []
        for path in (self._directory / "begun").iterdir():
            pid, began_at = path.read_text().split()
            marks.append(Mark(UUID(path.name), int(pid), float(began_at)))
        return sorted(marks, key=lambda mark: mark.began_at)

    @property
    def waiting(self) -> int:
        """How many flow runs wait between jobs, or have waited."""
        return len(list((self._directory / "waiting").iterdir()))

    @property
    def stopped_at(self) -> float | None:
        """When the flow run said that no more jobs will follow, if it has."""
        return float(self._stopped.read_text()) if self._stopped.exists() else None

    def let_go(self) -> None:
        """Let every flow run of the trial go on, now and later."""
        (self._directory / "go").touch()
