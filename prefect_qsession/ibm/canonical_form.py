"""
Values in canonical form: lists and tuples that `repr` writes exactly, and alike for equal content.

A value that has no such form is made unlike anything else. So the worst that can happen is a job
that is not recognised later; never that one is taken for another.
"""

import hashlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache, singledispatch
from typing import Any

import numpy as np
from pydantic import BaseModel

_logger = logging.getLogger("prefect.qsession.fingerprints")


@singledispatch
def canonical(value: Any) -> Any:
    """
    Return the value as nested lists and tuples of numbers, strings, bytes and None.

    A number of NumPy's becomes Python's; 1, 1.0, True and "1" stay apart. The order counts in a
    list, not in a mapping or a set. Never raises for a type that is unknown: see `unlike`.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return _by_fields(value)
    return unlike(value)


def digest(text: str) -> str:
    """Return 32 hex digits that stand for a text."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def unlike(value: Any) -> Any:
    """Return what equals nothing else, not even the next such; logged once for each type."""
    _tell(type(value).__qualname__)
    return ("unlike", secrets.token_hex(16))


@cache
def _tell(kind: str) -> None:
    _logger.warning(
        "A %s has no fingerprint: jobs that contain one are not recognised by a later attempt, "
        "and run again.",
        kind,
    )


for kind in (bool, bytes, complex, type(None)):
    canonical.register(kind, lambda value: value)
# An object of a class made of one of these becomes the plain one.
canonical.register(int, int)
canonical.register(float, float)
canonical.register(str, str.__str__)
canonical.register(range, lambda value: ("range", value.start, value.stop, value.step))
canonical.register(Enum, lambda value: (type(value).__qualname__, value.name))


@canonical.register
def _number(value: np.generic) -> Any:
    item = value.item()
    return unlike(value) if isinstance(item, np.generic) else canonical(item)


@canonical.register
def _array(value: np.ndarray) -> Any:
    if value.dtype.hasobject:
        return ("objects", value.shape, [canonical(item) for item in value.flat])
    stored = value.astype(value.dtype.newbyteorder("<"), order="C", copy=False)
    # Digested, because `repr` of long bytes is slow.
    return ("array", stored.dtype.str, stored.shape, hashlib.blake2b(stored.tobytes()).hexdigest())


@canonical.register(list)
@canonical.register(tuple)
def _list(value: Sequence[Any]) -> Any:
    return [canonical(item) for item in value]


@canonical.register(AbstractSet)
def _set(value: AbstractSet[Any]) -> Any:
    return ("set", sorted((canonical(item) for item in value), key=repr))


@canonical.register(Mapping)
def _mapping(value: Mapping[Any, Any]) -> Any:
    pairs = [(canonical(key), canonical(item)) for key, item in value.items()]
    return ("mapping", sorted(pairs, key=repr))


@canonical.register(BaseModel)
def _by_fields(value: Any) -> Any:
    return (type(value).__qualname__, canonical(attributes(value)))


def attributes(value: Any) -> dict[str, Any]:
    """Return the fields of a pydantic model or a dataclass, by name."""
    model = isinstance(value, BaseModel)
    names = type(value).model_fields if model else [field.name for field in fields(value)]
    return {name: getattr(value, name) for name in names}
