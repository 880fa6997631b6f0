"""
Faults as lines of text, for the command line.

A line is `[METHOD] ROUTE EFFECT [NUMBER] [FLAG ...] [NAME=VALUE ...]`. Effects, names and their
meaning are those of `Fault`; the number is an answer's status, a delay's or stall's seconds, and a
failed job's code; the flags are `after_work` and `at_once`. Words are quoted as in a shell:

    POST /sessions answer 503 retry_after_seconds=5 count=1
    POST /jobs drop after_work probability=0.1
    * answer 503 after_seconds=60 until_seconds=90
    POST /jobs fail_job 9707 count=1 'reason=Out of luck'
"""

import json
import re
import shlex
from dataclasses import asdict, fields
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from prefect_qsession.emulator.faults.effects import AnyEffect
from prefect_qsession.emulator.faults.fault import Fault

_FORM = "[METHOD] ROUTE EFFECT [NUMBER] [FLAG ...] [NAME=VALUE ...]"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_NUMBERS = {"answer": "status", "delay": "seconds", "stall": "seconds", "fail_job": "code"}
_FLAGS = ("after_work", "at_once")
_TEXTS = ("reason",)
_IN_NEED_OF_QUOTES = re.compile(r"[\s'\"\\]")
_OF_EFFECTS = {field.name for effect in get_args(AnyEffect) for field in fields(effect)}
_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


def parse_fault(line: str) -> Fault:
    """Read a fault from a line, or raise `ValueError` with what is wrong with it."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        msg = f"{line!r} is no fault: {error}"
        raise ValueError(msg) from None
    fault: dict[str, Any] = {}
    if words and words[0] in _METHODS:
        fault["method"] = words.pop(0)
    if len(words) < 2:  # noqa: PLR2004 - route and effect
        msg = f"{line!r} is no fault: it must be {_FORM}"
        raise ValueError(msg)
    fault["route"], kind, *words = words
    effect: dict[str, Any] = {"kind": kind}
    if words and kind in _NUMBERS and "=" not in words[0] and words[0] not in _FLAGS:
        effect[_NUMBERS[kind]] = _number(line, words.pop(0))
    for word in words:
        name, is_given, value = word.partition("=")
        part = effect if name in _OF_EFFECTS else fault
        part[name] = _value(line, name, value) if is_given else _flag(line, name)
    try:
        # As JSON, so that a line means exactly what the same fault means in a request.
        return _FAULT.validate_json(json.dumps(fault | {"effect": effect}))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        why = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems)
        msg = f"{line!r} is no fault: {why}"
        raise ValueError(msg) from None


def fault_line(fault: Fault) -> str:
    """Write a fault as the line it could be read from."""
    effect = asdict(fault.effect)
    kind = effect.pop("kind")
    number = effect.pop(_NUMBERS.get(kind, ""), None)
    words = [fault.method, fault.route, kind, None if number is None else _written(number)]
    words += [flag for flag in _FLAGS if effect.pop(flag, False)]
    values = effect | {field.name: getattr(fault, field.name) for field in fields(fault)[3:]}
    defaults = {field.name: field.default for field in (*fields(fault), *fields(fault.effect))}
    words += [f"{name}={_written(v)}" for name, v in values.items() if v != defaults[name]]
    return " ".join(_quoted(word) for word in words if word is not None)


def _quoted(word: str) -> str:
    # Only where it is needed: a route's braces and star stand as they are.
    return shlex.quote(word) if _IN_NEED_OF_QUOTES.search(word) else word


def _written(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.15g}"


def _value(line: str, name: str, text: str) -> Any:
    return text if name in _TEXTS else _number(line, text)


def _number(line: str, text: str) -> Any:
    try:
        number = json.loads(text)
    except json.JSONDecodeError:
        number = None
    if type(number) not in (int, float):
        msg = f"{line!r} is no fault: {text!r} is not a number"
        raise ValueError(msg)
    return number


def _flag(line: str, name: str) -> bool:
    if name not in _FLAGS:
        msg = f"{line!r} is no fault: {name!r} is in the wrong place; it must be {_FORM}"
        raise ValueError(msg)
    return True
