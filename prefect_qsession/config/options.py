"""
What a user says of the sessions of a flow: `SessionOptions`, of which the signatures, the settings,
the block with its form and the table in docs/options.md are made.

A new option is an entry there, and a field of `ResolvedPolicy` for who uses it.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypedDict, TypeVar, cast, get_type_hints

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from prefect_qsession.config.durations import Duration, duration_seconds, window_seconds
from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import InvalidSetting

F = TypeVar("F", bound=Callable[..., Any])

ModeName = Literal["session", "batch", "job", "auto"]
FallbackName = Literal["batch", "job"]
FALLBACKS = (Mode.BATCH, Mode.JOB)


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


def _limit(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidSetting(name, value, "the name of a global concurrency limit of Prefect's.")
    return value


def _as_text(value: object) -> object:
    """Write a duration that was given in Python as the form and the saved block have it."""
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds())}s"
    return f"{value}s" if isinstance(value, int) and not isinstance(value, bool) else value


def _as_window_text(value: object) -> object:
    """Write a short time likewise, with its fractions."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return f"{seconds:g}s" if isinstance(seconds, float) else _as_text(value)


_Text = Annotated[str, BeforeValidator(_as_text)]
_WindowText = Annotated[str, BeforeValidator(_as_window_text)]
_YesOrNo = Annotated[
    bool,
    # A form's switch that nobody has touched is off, which would say something.
    WithJsonSchema({"type": "string", "enum": ["yes", "no"]}),
    PlainSerializer(lambda value: "yes" if value else "no", when_used="json"),
]


@dataclass(frozen=True)
class ValueType:
    """What the values of an option are, wherever they are said."""

    read: Callable[[str, Any], object]
    """Returns what a value means, or refuses it by the option's name."""
    in_settings: Any
    in_block: Any
    unit: str = ""
    """What the name of the option's field in `ResolvedPolicy` ends in."""


DURATION = ValueType(duration_seconds, str | int, _Text, "_seconds")
WINDOW = ValueType(window_seconds, str | float, _WindowText, "_seconds")
MODE = ValueType(lambda name, said: _one_of(tuple(Mode), name, said, said), str, ModeName)
MODES = ValueType(_fallback, str | tuple[str, ...], list[FallbackName])
COUNT = ValueType(_count, int, int)
TRUTH = ValueType(_truth, bool, _YesOrNo)
LIMIT = ValueType(_limit, str, str)


@dataclass(frozen=True)
class Option:
    """What is to be known of an option besides its name."""

    values: ValueType
    about: str
    """What it does, as the form, the settings and the table in docs/options.md have it."""
    default: object = None
    title: str | None = None
    """What the form calls it, if not by its name."""


class SessionOptions(TypedDict, total=False):
    """The options of a session flow, as the form orders them; None is the same as left out."""

    mode: Annotated[
        Mode | ModeName | None,
        Option(
            MODE,
            "How jobs run; auto takes a session, or the fallback if the plan has none.",
            default="session",
        ),
    ]
    fallback: Annotated[
        str | Sequence[Mode | FallbackName] | None,
        Option(MODES, "What auto tries after a session, in this order.", default=("batch", "job")),
    ]
    max_time: Annotated[
        Duration | None,
        # An hour is enough for a few hundred iterations, and no accident costs more than that.
        Option(
            DURATION,
            'The service ends a session so long after its first job began: "2h 30m", say.',
            default="1h",
            title="Maximum time",
        ),
    ]
    qpu_budget: Annotated[
        Duration | None,
        Option(
            DURATION,
            'What all jobs of a flow run together may be charged: "10m", say.',
            title="QPU budget",
        ),
    ]
    session_budget: Annotated[
        Duration | None,
        Option(DURATION, 'What all sessions of a flow run together may be billed: "1h", say.'),
    ]
    idle_release: Annotated[
        Duration | None,
        Option(
            DURATION, "A session without a job for so long is closed; the next job opens another."
        ),
    ]
    concurrency_limit: Annotated[
        str | None,
        Option(LIMIT, "Name of the global concurrency limit that an open session takes a slot of."),
    ]
    reopen: Annotated[
        int | None,
        Option(
            COUNT,
            "How often a session that the service ended is opened anew.",
            default=3,
            title="Reopen sessions",
        ),
    ]
    reattach: Annotated[
        bool | None,
        Option(
            TRUTH,
            "Whether a later attempt takes up the jobs of earlier ones.",
            default=True,
            title="Re-attach jobs",
        ),
    ]
    pack: Annotated[
        str | float | timedelta | None,
        Option(
            WINDOW,
            'Requests that tasks make within this time go together as one job: "50ms".',
            title="Packing window",
        ),
    ]


OPTIONS: Mapping[str, Option] = {
    name: declared.__metadata__[0]
    for name, declared in get_type_hints(SessionOptions, include_extras=True).items()
}


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
    refuse_unknown(options, OPTIONS)
    said = {name: value for name, value in options.items() if value is not None}
    fields: dict[str, Any] = {}
    for name, value in {**(defaults or {}), **said}.items():
        values = OPTIONS[name].values
        fields[name + values.unit] = None if value is None else values.read(name, value)
    return fields


def refuse_unknown(said: Iterable[str], known: Collection[str]) -> None:
    """
    Refuse the first name that is not known, and say which was perhaps meant.

    Raises:
        TypeError: There is one.
    """
    for name in said:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f". Did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"unexpected keyword argument {name!r}{hint}")


def shows_options(*others: inspect.Parameter) -> Callable[[F], F]:
    """
    Let `inspect.signature` name each option of a function that takes them as `**options`.

    Args:
        others: What it takes beside them in that way.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        named = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        ours = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=said)
            for name, said in get_type_hints(SessionOptions).items()
        ]
        theirs = [
            other.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for other in others
            if other.name not in signature.parameters
        ]
        shown = signature.replace(parameters=[*named, *ours, *theirs])
        cast("Any", function).__signature__ = shown
        return function

    return decorate
