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
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

ROOT = Path(__file__).parents[2]


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
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
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
        deployment = client.read_deployment_by_name("vqe/h2")

    assert "quantum" == deployment.work_pool_name
    assert "flows/vqe.py:vqe" == deployment.entrypoint
    assert {
        "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS",
        "PREFECT_INTEGRATIONS_QSESSION_BACKEND",
    } == set(deployment.job_variables["env"])
    [pull] = deployment.pull_steps
    assert [{"directory": str(ROOT)}] == list(pull.values())


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
