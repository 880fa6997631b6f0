"""The matrix: every way in each of its places, as rows."""

from dataclasses import dataclass

from tests.harness.places import PlaceName
from tests.harness.steps import KillServer
from tests.matrix import alone, ended, trouble
from tests.matrix.ways import Way

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

    @property
    def kills_server(self) -> bool:
        """Whether its Prefect server is killed in it."""
        return KillServer() in self.way.before

    @property
    def group(self) -> str | None:
        """What it shares a process with; None if with nothing."""
        if self.kills_server:
            return "server that is killed"
        return None if self.place is PlaceName.SCRIPT else self.place.value

    def is_late(self, seconds: float | None) -> bool:
        """Whether its sessions were released, but later than promised."""
        return seconds is not None and seconds > self.way.within_seconds


ROWS = tuple(Row(way, place) for way in WAYS for place in way.places)


def each_way_and_each_layer_once() -> frozenset[Row]:
    """
    Return few rows in which every way is tried, and every pair of a place and a layer of defence.

    Scripts where that will do: they start fastest.
    """
    quickest = (PlaceName.SCRIPT, PlaceName.SERVE, PlaceName.WORKER, PlaceName.FLOW_SERVE)
    in_order = sorted(ROWS, key=lambda row: quickest.index(row.place))
    chosen: list[Row] = []
    for row in in_order:
        if all(row.way is not other.way for other in chosen):
            chosen.append(row)
    for row in in_order:
        if all((row.place, row.way.layer) != (other.place, other.way.layer) for other in chosen):
            chosen.append(row)
    return frozenset(chosen)
