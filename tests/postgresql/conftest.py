"""A Prefect server on PostgreSQL, where that is installed."""

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from demo.servers import PrefectServer
from tests.harness.postgresql import binaries, database_where_installed
from tests.integration.conftest import _nothing_is_left_open, block, save_block

__all__ = ["_nothing_is_left_open", "block", "save_block"]


@pytest.fixture(scope="package", autouse=True)
def _prefect_server(tmp_path_factory) -> Iterator[None]:
    """Run a Prefect server on a database of its own; without PostgreSQL its tests are skipped."""
    if binaries() is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    home = tmp_path_factory.mktemp("prefect-on-postgresql") / "home"
    with (
        database_where_installed() as database,
        PrefectServer(home, **database) as server,
        temporary_settings({PREFECT_HOME: home, PREFECT_API_URL: server.url}),
    ):
        yield
