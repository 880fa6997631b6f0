"""What a flow returns: whether Prefect has yet to make the final state from it."""

import time
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
from prefect.futures import PrefectFutureList, PrefectWrappedFuture
from prefect.states import Completed, Failed
from prefect.utilities.annotations import unmapped
from prefect.utilities.collections import visit_collection
from pydantic import BaseModel, ConfigDict

from prefect_qsession.session.bodies import holds_undecided


class Future(PrefectWrappedFuture):
    """A future, for what it is."""

    def wait(self, timeout=None):
        """Wait for nobody."""

    def result(self, timeout=None, raise_on_failure=True):
        """Have nothing."""


class Model(BaseModel):
    """Of pydantic's, with what else there is."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="allow")
    value: object


@dataclass
class Data:
    """Of the standard library's."""

    value: object


Pair = namedtuple("Pair", "one value")  # noqa: PYI024 - that is what users have

FUTURE = Future(None, None)
AROUND = {
    "itself": lambda it: it,
    "list": lambda it: [1, it],
    "tuple": lambda it: (it,),
    "set": lambda it: {it} if isinstance(it, Future) else [it],
    "value of a dict": lambda it: {1: it},
    "key of a dict": lambda it: {it: 1} if isinstance(it, Future) else {1: it},
    "ordered dict": lambda it: OrderedDict(a=it),
    "named tuple": lambda it: Pair(1, it),
    "data class": Data,
    "model": lambda it: Model(value=it),
    "extra of a model": lambda it: Model(value=1, more=it),
    "list of futures": lambda it: PrefectFutureList([it]),
    "annotation": unmapped,
    "deep": lambda it: [[{"a": (Data([it]), 1)}], "b"],
}
HASHED = ("set", "key of a dict")
DECIDED = [None, 1, "text", b"", 1j, np.arange(3), [1.0, None], {"a": {1, 2}}, Data(1), Data, int]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("it", [FUTURE, Completed(), Failed()], ids=["future", "done", "failed"])
def test_a_state_or_a_future_is_found_where_prefect_finds_it(around, it):
    """At any depth."""
    value, found = AROUND[around](it), []
    visit_collection(value, visit_fn=found.append, return_data=False)

    assert it in found
    assert holds_undecided(value)


@pytest.mark.parametrize("value", DECIDED, ids=repr)
@pytest.mark.parametrize("around", [name for name in AROUND if name not in HASHED])
def test_nothing_else_is_taken_for_one(around, value):
    """Wherever it is."""
    assert not holds_undecided(AROUND[around](value))


def test_what_contains_itself_is_looked_at_once():
    """It would never end, with the session open."""
    ring: list = [1]
    ring.append({"ring": ring})

    assert not holds_undecided(ring)


@pytest.mark.parametrize(
    "value",
    [
        [0.5] * 10**6,
        list(np.zeros(10**6)),
        dict.fromkeys(range(5 * 10**5), 0.5),
        [[0.5] * 1000 for _ in range(1000)],
    ],
    ids=["list", "numpy's numbers", "dict", "lists of a list"],
)
def test_a_million_numbers_are_looked_at_in_no_time(value):
    """The session is open meanwhile, and billed; the time is that of the processor."""

    def seconds() -> float:
        begin = time.process_time()
        assert not holds_undecided(value)
        return time.process_time() - begin

    assert min(seconds() for _ in range(3)) < 0.05
