"""The repository's deployments: created by Prefect's own command, and run by a served process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import run_deployment
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from tests.programs import started

# The deployments that one test creates are called by the next.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deployments")]

ROOT = Path(__file__).parents[2]
VQE, CURVE, REAPER = "vqe/h2", "dissociation-curve/h2-curve", "reap-sessions/every-five-minutes"
ENTRYPOINTS = {
    VQE: "flows/vqe.py:vqe",
    "qaoa/maxcut": "flows/qaoa.py:qaoa",
    "gradient-vqe/h2-gradient": "flows/gradient_vqe.py:gradient_vqe",
    CURVE: "flows/sweep.py:sweep",
    "error-mitigation/spin-chain": "flows/error_mitigation.py:error_mitigation",
    "dask-subspace/lih": "flows/dask_subspace.py:dask_subspace",
    REAPER: "flows/reap_sessions.py:reap",
}


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment of a process that uses the Prefect server of these tests."""
    return os.environ | {
        "PREFECT_API_URL": PREFECT_API_URL.value(),
        "PREFECT_HOME": str(PREFECT_HOME.value()),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }


@contextmanager
def served(environment: dict[str, str]) -> Iterator[None]:
    """Serve the flow in a process of its own, from when it says that it does."""
    command = [sys.executable, "-m", "deployments.serve"]
    with started(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert any("being served" in line for line in process.stdout), "it ended at once"
            yield
        finally:
            process.terminate()


def test_prefect_deploy_creates_every_deployment(environment):
    """`prefect deploy --all` succeeds as the README says it, given the work pool."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="quantum", type="process"))
        command = ["deploy", "--all", "--prefect-file", "deployments/prefect.yaml"]
        subprocess.run(
            [sys.executable, "-m", "prefect", *command],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=True,
        )
        found = {name: client.read_deployment_by_name(name) for name in ENTRYPOINTS}

    assert ENTRYPOINTS == {name: it.entrypoint for name, it in found.items()}
    assert {"quantum"} == {it.work_pool_name for it in found.values()}
    assert all("quantum" in it.tags for it in found.values())
    assert {1} == {it.global_concurrency_limit.limit for it in found.values()}
    vqe, curve, reaper = (found[name] for name in (VQE, CURVE, REAPER))
    assert "ENQUEUE" == vqe.concurrency_options.collision_strategy.value
    assert "CANCEL_NEW" == curve.concurrency_options.collision_strategy.value
    assert {
        "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS",
        "PREFECT_INTEGRATIONS_QSESSION_BACKEND",
    } == set(vqe.job_variables["env"])
    [pull] = vqe.pull_steps
    assert [{"directory": str(ROOT)}] == list(pull.values())
    [weekdays] = vqe.schedules
    assert ("0 6 * * 1-5", "Europe/Berlin") == (
        weekdays.schedule.cron,
        weekdays.schedule.timezone,
    )
    assert [300.0] == [it.schedule.interval.total_seconds() for it in reaper.schedules]
    # What is billed runs by a schedule only when somebody says so.
    scheduled = [name for name, it in found.items() if any(one.active for one in it.schedules)]
    assert [REAPER] == scheduled


def test_a_deployment_refuses_bad_parameters():
    """What the form would not let through, the API does not either."""
    with pytest.raises(PrefectHTTPStatusError, match=r"\b4(09|22)\b"):
        run_deployment(VQE, parameters={"bond_length": 5.0}, timeout=0)


def test_a_served_flow_completes_and_closes_its_session(environment, block, emulator):
    """A run asked for through the API is done by the serving machine, in one session."""
    environment |= {
        "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS": block,
        "PREFECT_INTEGRATIONS_QSESSION_BACKEND": "ibm_manila",
    }
    with served(environment):
        flow_run = run_deployment(
            "vqe/h2-served", parameters={"max_evaluations": 2}, timeout=50, poll_interval=0.5
        )

    assert "Completed" == flow_run.state.name
    assert ["close"] == [session.ended_by for session in emulator.sessions]
