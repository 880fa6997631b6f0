"""The matrix: every way in each of its places, as rows."""

from dataclasses import dataclass

from benchmarks.endings import alone, ended, trouble
from benchmarks.endings.places import PlaceName
from benchmarks.endings.ways import Way

WAYS = (
    *alone.IN_EVERY_FLOW,
    *alone.FAILURES,
    *alone.SEVERAL,
    *alone.GENERATORS,
    *alone.INTERRUPTIONS,
    *ended.CANCELLED_SCRIPTS,
    *ended.CANCELLED_DEPLOYMENTS,
    *ended.SIGNALLED_SCRIPTS,
    *ended.SIGNALLED_DEPLOYMENTS,
    *trouble.WITHOUT_SERVER,
    *trouble.WITH_A_BAD_SERVICE,
    *trouble.WITHOUT_GUARDIAN,
)


@dataclass(frozen=True)
class Row:
    """One way in one place."""

    way: Way
    place: PlaceName

    @property
    def name(self) -> str:
        """What to call it in a report."""
        return f"{self.way.name} [{self.place}]"

    def is_late(self, seconds: float | None) -> bool:
        """Whether its sessions were released, but later than promised."""
        return seconds is not None and seconds > self.way.within_seconds


ROWS = tuple(Row(way, place) for way in WAYS for place in way.places)
