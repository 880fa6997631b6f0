"""One trial: start a flow run, wait for the moment, end it, and read what the emulator saw."""

import time
from dataclasses import dataclass
from pathlib import Path

from prefect.settings import PREFECT_API_URL, temporary_settings

from demo.servers import PrefectServer
from prefect_qsession import QiskitRuntimeCredentials
from tests.harness import steps
from tests.harness.flow_calls import FlowCall
from tests.harness.flow_runs import START_SECONDS, BegunFlowRun, NotRun
from tests.harness.marks import Marks
from tests.harness.places import Place
from tests.harness.waiting import happened
from tests.matrix.rows import Row
from tests.matrix.service import FrozenService
from tests.matrix.ways import UNUSED

LATE_SECONDS = 60.0
"""Beyond what is promised: a session that is released by then is late, and not left open."""


@dataclass(frozen=True)
class Trial:
    """What became of one flow run's sessions, by the emulator's record."""

    way: str
    place: str
    outcomes: tuple[str, ...]
    """How each session ended, sorted: "left open" if it did not in time."""
    seconds: float | None
    """
    From the end of the flow run until no session took jobs, or from when the service was well
    again; None if none was ever used.
    """
    jobs_left_queued: int
    processes_left: tuple[str, ...]
    """Commands of the processes that outlived the flow's process, which had started them."""


def run_trial(
    row: Row, service: FrozenService, place: Place, server: PrefectServer, directory: Path
) -> Trial:
    """
    Run one trial on an idle place, and leave the place idle.

    Raises:
        NotRun: The flow run did not come to its moment.
        FlowRunHangs: It did not come to its end.
    """
    way = row.way
    marks = Marks.in_new(directory)
    with temporary_settings({PREFECT_API_URL: server.url}):
        credentials = QiskitRuntimeCredentials.from_environment(service.emulator.environment())
        credentials.save(place.block, overwrite=True)
    parameters = {"where": str(directory), **way.parameters}
    place.start(FlowCall(way.flow, parameters, way.call, way.environment))
    if not happened(lambda: service.has_come(way, marks), START_SECONDS):
        place.stop()
        raise NotRun(f"{row.name}: its moment did not come; see {directory}")
    run = BegunFlowRun(marks, place, server, service.emulator)
    try:
        for step in way.before:
            run.do(step)
        ended_at = time.monotonic()
        for step in way.end:
            run.do(step)
            if isinstance(step, steps.Mend):
                # No release could have come through before.
                ended_at = time.monotonic()
        seconds = None
        if set(way.outcomes) == {UNUSED}:
            happened(lambda: not run.is_alive, START_SECONDS)
        elif happened(
            lambda: service.has_released(way),
            ended_at + way.within_seconds + LATE_SECONDS - time.monotonic(),
        ):
            seconds = time.monotonic() - ended_at
        outcomes = service.play_out()
        jobs_left_queued = service.jobs_left_queued()
    finally:
        left = run.clear()
    return Trial(way.name, row.place, outcomes, seconds, jobs_left_queued, left)
