"""What the trials amount to: the figures, and the details by way and place."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.chaos.trial import Outcome, Trial


def figures_of(trials: list[Trial], living: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return the figures; the first four are to be 0."""
    outcomes = Counter(trial.outcome for trial in trials)
    seconds = _seconds(trials)
    return {
        "sessions_left_open": outcomes[Outcome.LEFT_OPEN],
        "jobs_left_queued": sum(trial.jobs_left_queued for trial in trials),
        "living_sessions_released": sum(trial.released_early for trial in trials)
        + sum(each["released_while_alive"] for each in living),
        "sessions_left_open_after_reaping": outcomes[Outcome.LEFT_OPEN_AFTER_REAPING],
        "sessions_reaped": outcomes[Outcome.REAPED],
        "sessions_released": outcomes[Outcome.RELEASED],
        "sessions_never_opened": outcomes[Outcome.NEVER_OPENED],
        "sessions_unused": outcomes[Outcome.UNUSED],
        "release_seconds_median": median(seconds) if seconds else None,
        "release_seconds_worst": max(seconds, default=None),
    }


def details_of(trials: list[Trial]) -> dict[str, Any]:
    """Return the trials by way and place, and what was odd about any."""
    rows: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        name = trial.draw.way.name
        rows.setdefault((name, trial.draw.place), []).append(trial)
    return {
        "ways": [
            {"way": way, "place": place} | _row(of_row) for (way, place), of_row in rows.items()
        ],
        "moments": dict(Counter(trial.moment for trial in trials)),
        "async": sum(trial.draw.is_async for trial in trials),
        "ended_otherwise": [_story(trial) for trial in trials if _ended_otherwise(trial)],
        "stopped_early": [_story(trial) for trial in trials if trial.stopped_early],
        "not_released": [_story(trial) for trial in trials if is_bad(trial)],
        "processes_left": [_story(trial) for trial in trials if trial.processes_left],
    }


def is_bad(trial: Trial) -> bool:
    """Whether a trial shows what must not be."""
    open_still = trial.outcome in (Outcome.LEFT_OPEN, Outcome.LEFT_OPEN_AFTER_REAPING)
    return open_still or trial.released_early or trial.jobs_left_queued > 0


def line(trial: Trial) -> str:
    """Tell one trial in a line, while the others run."""
    draw = trial.draw
    kind = ", async" if draw.is_async else ""
    seconds = "" if trial.seconds is None else f" in {trial.seconds:.2f} s"
    odd = " (!)" if is_bad(trial) or trial.stopped_early or trial.processes_left else ""
    return (
        f"{draw.place}, trial {draw.number}: {draw.way.name}{kind}, {trial.moment}: "
        f"{trial.outcome}{seconds}{odd}"
    )


def _row(trials: list[Trial]) -> dict[str, Any]:
    outcomes = Counter(trial.outcome for trial in trials)
    seconds = _seconds(trials)
    return {
        "trials": len(trials),
        **{outcome.name.lower(): outcomes[outcome] for outcome in Outcome},
        "median_seconds": median(seconds) if seconds else None,
        "worst_seconds": max(seconds, default=None),
    }


def _seconds(trials: Iterable[Trial]) -> list[float]:
    return [trial.seconds for trial in trials if trial.seconds is not None]


def _ended_otherwise(trial: Trial) -> bool:
    expected = (None, trial.draw.way.release)
    return trial.outcome is Outcome.RELEASED and trial.ended_by not in expected


def _story(trial: Trial) -> dict[str, Any]:
    return asdict(trial) | {"draw": asdict(trial.draw) | {"way": trial.draw.way.name}}
