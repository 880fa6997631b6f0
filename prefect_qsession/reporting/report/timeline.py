"""The life of the sessions and jobs as a picture: two lanes over time."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from prefect_qsession.config.modes import Mode
from prefect_qsession.reporting.report.histories import JobHistory, JobStage, Stage, WorkloadHistory
from prefect_qsession.reporting.report.model import RunReport
from prefect_qsession.reporting.report.svg import BLUE, LEFT, RIGHT, WIDTH, Picture, time_ticks
from prefect_qsession.reporting.report.words import duration

TITLE = "State timeline"

AMBER, VIOLET, RED, GREY, GREEN = "#d08a24", "#9271dd", "#e0524d", "#8a94a6", "#2f9e6b"
COLOURS = {
    Stage.OPENING: GREY,
    Stage.QUEUED: AMBER,
    Stage.ACTIVE: BLUE,
    Stage.RELEASING: VIOLET,
    Stage.LEFT_OPEN: RED,
}
"""Of what lasts; what is over leaves a mark."""
MARKS = {
    Stage.CLOSED: GREEN,
    Stage.CANCELLED: RED,
    Stage.LOST: RED,
    Stage.REFUSED: RED,
}

SESSION_TOP, JOBS_TOP, LANE = 30, 62, 22
AXIS = 96
LEGEND = 132
HEIGHT = 144
INSIDE = WIDTH - LEFT - RIGHT


X = Callable[[datetime], float]
"""From a time to its place in the picture."""


class Bar(NamedTuple):
    """Something that lasts, in pixels."""

    left: float
    right: float
    colour: str


def timeline(report: RunReport, now: datetime) -> Picture | None:
    """Return the picture; None as long as there is nothing to show."""
    began = _began(report)
    if began is None:
        return None
    end = _end(report, now)
    seconds = max((end - began).total_seconds(), 1.0)

    def x(at: datetime) -> float:
        return LEFT + INSIDE * (at - began).total_seconds() / seconds

    picture = Picture(HEIGHT)
    for tick in time_ticks(seconds):
        at = LEFT + INSIDE * tick / seconds
        picture.grid_line(at, SESSION_TOP - 8, at, AXIS)
        picture.text(at, AXIS + 15, duration(tick) if tick else "0", "middle")
    picture.text(LEFT - 10, SESSION_TOP + 15, "session", "end")
    picture.text(LEFT - 10, JOBS_TOP + 15, "jobs", "end")
    shown: dict[str, str] = {}
    for history in report.sessions:
        _draw_session(picture, history, x, end, shown)
    for bar in merged(_job_bars(report, x, end)):
        picture.rectangle(bar.left, JOBS_TOP, bar.right - bar.left - 0.5, LANE, bar.colour, 0.85)
    _draw_legend(picture, shown)
    return picture


def merged(bars: Iterable[Bar]) -> Iterator[Bar]:
    """Join bars of one colour that touch: as many as can be told apart are drawn, and no more."""
    last: Bar | None = None
    for bar in bars:
        if last and last.colour == bar.colour and bar.right - last.left < 1:
            last = last._replace(right=max(last.right, bar.right))
            continue
        if last:
            yield last
        last = bar
    if last:
        yield last


def _began(report: RunReport) -> datetime | None:
    times = [history.changes[0][1] for history in report.sessions if history.changes]
    times += [next(iter(report.jobs.values())).at] if report.jobs else []
    return min(times, default=None)


def _end(report: RunReport, now: datetime) -> datetime:
    """Return where the picture ends: now, or when all was over."""
    history = report.current
    return history.changes[-1][1] if history and history.stage.is_over else now


def _draw_session(
    picture: Picture, history: WorkloadHistory, x: X, end: datetime, shown: dict[str, str]
) -> None:
    untils = [at for _, at in history.changes[1:]] + [end]
    for (stage, since), until in zip(history.changes, untils, strict=True):
        if colour := MARKS.get(stage):
            picture.rectangle(x(since) - 2, SESSION_TOP - 4, 4, LANE + 8, colour)
            shown[str(stage)] = colour
        elif history.mode is not Mode.JOB:
            colour = COLOURS[stage]
            picture.rectangle(x(since), SESSION_TOP, x(until) - x(since), LANE, colour)
            shown[str(stage)] = colour


def _job_bars(report: RunReport, x: X, end: datetime) -> Iterator[Bar]:
    started = {history.session_id: history.since(Stage.ACTIVE) for history in report.sessions}
    queued = {history.session_id for history in report.sessions if history.stage is Stage.QUEUED}
    for job in report.jobs.values():
        # Submitted before this report began.
        if job.session_id is None:
            continue
        over = min(job.over_at or end, end)
        since = _left_queue(job, started.get(job.session_id), is_queued=job.session_id in queued)
        since = min(since or over, over)
        if since > job.at:
            yield Bar(x(job.at), x(since), AMBER)
        if over > since:
            yield Bar(x(since), x(over), RED if job.stage is JobStage.FAILED else BLUE)


def _left_queue(job: JobHistory, started: datetime | None, *, is_queued: bool) -> datetime | None:
    """Return when a job left the queue, as far as it is known; None if it has not."""
    if started:
        # Jobs hardly queue in it; they are only seen running a little later.
        return max(job.at, started)
    return job.running_at if job.running_at or is_queued else job.at


def _draw_legend(picture: Picture, shown: dict[str, str]) -> None:
    left = float(LEFT)
    for word, colour in shown.items():
        picture.rectangle(left, LEGEND - 9, 10, 10, colour)
        picture.text(left + 15, LEGEND, word)
        left += 32 + 7 * len(word)
