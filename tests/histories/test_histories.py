"""What holds whatever goes wrong: three hundred histories, of the ten thousand of the benchmark."""

from collections.abc import Iterator

import pytest

from demo.servers import PrefectServer
from prefect_qsession.emulator import SimulatorPool
from tests.harness.histories.found import Found
from tests.harness.histories.world import SERVER, World
from tests.harness.unsteady_api import UnsteadyAPI

# They share a Prefect server and its emulators.
pytestmark = pytest.mark.xdist_group("histories")

HISTORIES = 300
AT_ONCE = 20


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    """Play histories on a Prefect server of their own."""
    home = tmp_path_factory.mktemp("histories")
    with (
        PrefectServer(home, **SERVER) as server,
        SimulatorPool() as simulators,
        UnsteadyAPI(server.port) as api,
        World(api, home, simulators) as world,
    ):
        yield world


@pytest.mark.parametrize("first", range(1, HISTORIES + 1, AT_ONCE))
def test_a_history_leaves_nothing_behind(world, first):
    """No session open, no job paid twice, no result lost or swapped, nothing kept back."""
    found = {seed: world.play(seed) for seed in range(first, first + AT_ONCE)}

    assert {} == {seed: it for seed, it in found.items() if it != Found()}
