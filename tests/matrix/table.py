"""Trials as the table of the docs."""

from tests.matrix.rows import Row
from tests.matrix.trial import Trial

HEAD = ("| the flow run's end | place | session | by | seconds | at most |", "|---" * 6 + "|")


def line(row: Row, trial: Trial) -> str:
    """Return a trial as a line of the table; what should not be is marked."""
    way = row.way
    outcomes = ", ".join(trial.outcomes)
    if trial.outcomes != tuple(sorted(way.outcomes)):
        outcomes += " (!)"
    if trial.processes_left:
        outcomes += f" (! left: {', '.join(trial.processes_left)})"
    seconds = "" if trial.seconds is None else f"{trial.seconds:.1f}"
    if row.is_late(trial.seconds):
        seconds += " (!)"
    cells = (way.name, row.place, outcomes, way.layer, seconds, f"{way.within_seconds:g}")
    return f"| {' | '.join(cells)} |"
