"""Clusters as small as clusters can be, each started once: every worker is a machine of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from tests.integration.conftest import (
    _nothing_is_left_open,
    _prefect_server,
    block,
    save_block,
)

__all__ = ["_nothing_is_left_open", "_prefect_server", "block", "save_block"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

NO_FIXED_PORT = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
"""A scheduler listens for its page even if it has none."""

MakeRunner = Callable[[], TaskRunner]


def pytest_collection_modifyitems(items):
    """Have one process of pytest run all the tests of a cluster, which is slow to start."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        asked_for = [*item.fixturenames, *parameters]
        for cluster in ("dask", "ray"):
            if cluster in asked_for:
                item.add_marker(pytest.mark.xdist_group(cluster))
                item.add_marker("slow")


@pytest.fixture(scope="package")
def dask_address(tmp_path_factory) -> Iterator[str]:
    """Start a Dask scheduler, and two workers that share no home."""
    from distributed import Nanny, Scheduler, SpecCluster  # noqa: PLC0415 - slow, and an extra

    def worker(name: str) -> dict:
        home = str(tmp_path_factory.mktemp(name))
        environment = {"HOME": home, "PREFECT_HOME": home, "PYTHONPATH": str(ROOT)}
        return {"cls": Nanny, "options": {"nthreads": 1, "host": "127.0.0.1", "env": environment}}

    with SpecCluster(
        scheduler={"cls": Scheduler, "options": {"host": "127.0.0.1", **NO_FIXED_PORT}},
        workers={name: worker(name) for name in ("here", "there")},
        silence_logs=40,
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="package")
def _ray(tmp_path_factory) -> Iterator[None]:
    """Start a Ray of two workers, whose home is not this process's."""
    import ray  # noqa: PLC0415 - slow, and an extra

    home = str(tmp_path_factory.mktemp("ray-home"))
    with pytest.MonkeyPatch.context() as environment:
        # What Ray starts now inherits it.
        for name, value in {"HOME": home, "PREFECT_HOME": home, "PYTHONPATH": str(ROOT)}.items():
            environment.setenv(name, value)
        ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield
    ray.shutdown()


def threads() -> TaskRunner:
    """Return the runner that Prefect takes by default."""
    return ThreadPoolTaskRunner(max_workers=4)


def processes() -> TaskRunner:
    """Return a pool of processes on this machine."""
    return ProcessPoolTaskRunner(max_workers=1)


@pytest.fixture
def dask(dask_address) -> MakeRunner:
    """Return what makes a runner for the Dask cluster."""
    from prefect_dask import DaskTaskRunner  # noqa: PLC0415 - slow, and an extra

    return lambda: DaskTaskRunner(address=dask_address)


@pytest.fixture
def ray(_ray) -> MakeRunner:
    """Return what makes a runner for the Ray cluster."""
    from prefect_ray import RayTaskRunner  # noqa: PLC0415 - slow, and an extra

    return RayTaskRunner


@pytest.fixture(params=["threads", "processes", "dask", "ray"])
def runner(request) -> MakeRunner:
    """Return what makes each of the runners that Prefect has."""
    plain = {"threads": threads, "processes": processes}
    return plain.get(request.param) or request.getfixturevalue(request.param)
