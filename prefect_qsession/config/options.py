"""What a user says of the sessions of a flow, in the code or by settings of the same names."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypedDict

from prefect_qsession.config.durations import Duration, duration_seconds, window_seconds
from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import InvalidSetting

FALLBACKS = (Mode.BATCH, Mode.JOB)


class SessionOptions(TypedDict, total=False):
    """The options of a session flow; None leaves one to the settings, as leaving it out does."""

    max_time: Duration | None
    """The service ends the session this long after its first job started, whatever happens here.
    Always set; one hour by default."""
    mode: Mode | Literal["session", "batch", "job", "auto"] | None
    """How the jobs run; "auto" takes a session, or what `fallback` names if the plan has none."""
    fallback: str | Sequence[Mode | Literal["batch", "job"]] | None
    """What "auto" tries after a session, in this order; text such as "batch, job" will do."""
    qpu_budget: Duration | None
    """What the jobs of a flow run together may be charged; no cap by default."""
    session_budget: Duration | None
    """What the sessions of a flow run together may be billed; no cap by default."""
    idle_release: Duration | None
    """A session that has had no job for this long is released; the next job opens another. Never by
    default."""
    reattach: bool | None
    """Whether a later attempt takes up the jobs of earlier ones, as it does by default, rather than
    submitting and paying everything anew."""
    reopen: int | None
    """How often a session that the service ended is opened anew: three times by default."""
    pack: str | float | timedelta | None
    """Requests of one PUB that tasks make within this time of one another go together as one job:
    text such as "50ms", or seconds. By default each is a job."""
    concurrency_limit: str | None
    """Name of the Prefect global concurrency limit that each open session takes a slot of."""


def policy_fields(
    options: Mapping[str, object], defaults: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """
    Return what the options, and the defaults where they say nothing, mean: fields of a policy.

    Raises:
        InvalidMaxTime: `max_time` is no duration.
        InvalidSetting: Another option is not of the right kind.
        TypeError: There is no such option.
    """
    if unknown := options.keys() - _READERS.keys():
        raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
    said = {name: value for name, value in options.items() if value is not None}
    fields: dict[str, Any] = {}
    for name, value in {**(defaults or {}), **said}.items():
        field, read = _READERS[name]
        fields[field] = None if value is None else read(name, value)
    return fields


def _mode(name: str, value: object) -> Mode:
    return _one_of(tuple(Mode), name, value, value)


def _fallback(name: str, value: object) -> tuple[Mode, ...]:
    # Text from the environment, say.
    items = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(items, Sequence):
        items = (value,)
    return tuple(_one_of(FALLBACKS, name, value, item) for item in items)


def _one_of(modes: tuple[Mode, ...], name: str, value: object, item: object) -> Mode:
    for mode in modes:
        if item == mode:
            return mode
    raise InvalidSetting(name, value, f"made of these: {', '.join(modes)}.")


def _count(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidSetting(name, value, "a whole number of times, 0 or more.")
    return value


def _truth(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidSetting(name, value, "True or False.")
    return value


def _name(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidSetting(name, value, "the name of a global concurrency limit of Prefect's.")
    return value


_READERS: dict[str, tuple[str, Callable[[str, Any], object]]] = {
    "max_time": ("max_time_seconds", duration_seconds),
    "mode": ("mode", _mode),
    "fallback": ("fallback", _fallback),
    "qpu_budget": ("qpu_budget_seconds", duration_seconds),
    "session_budget": ("session_budget_seconds", duration_seconds),
    "idle_release": ("idle_release_seconds", duration_seconds),
    "reattach": ("reattaches", _truth),
    "reopen": ("reopenings", _count),
    "pack": ("packing_window_seconds", window_seconds),
    "concurrency_limit": ("concurrency_limit", _name),
}
"""For each option, the field of `ResolvedPolicy` that it sets, and what reads it."""
