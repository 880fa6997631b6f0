"""What holds whatever goes wrong: sixty histories, of the ten thousand of the benchmark."""

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from tests.harness.histories.found import Found
from tests.harness.histories.world import World
from tests.harness.unsteady_api import UnsteadyAPI

HISTORIES = 60
AT_ONCE = 10
QUICK = 20
"""How many of them `make test` has time for."""


@pytest.fixture(scope="module")
def world(_prefect_server, simulators) -> Iterator[World]:
    """Play histories on these tests' Prefect server."""
    port = int(PREFECT_API_URL.value().removesuffix("/api").rpartition(":")[2])
    with UnsteadyAPI(port) as api, World(api, PREFECT_HOME.value(), simulators) as world:
        yield world


# A task's timeout is an exception that Prefect throws into its thread, wherever that is by then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "first",
    [
        *range(1, QUICK, AT_ONCE),
        *(pytest.param(it, marks=pytest.mark.slow) for it in range(QUICK + 1, HISTORIES, AT_ONCE)),
    ],
)
def test_a_history_leaves_nothing_behind(world, first):
    """No session open, no job paid twice, no result lost or swapped, nothing kept back."""
    found = {seed: world.play(seed) for seed in range(first, first + AT_ONCE)}

    assert {} == {seed: it for seed, it in found.items() if it != Found()}
