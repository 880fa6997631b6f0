"""`make deploy-local`: everything of deployments/ on this machine, and a run by its schedule."""

import os
import re
import signal
import subprocess
import sys
from uuid import uuid4

import pytest

from tests.harness.waiting import wait_until
from tests.integration.test_demo import REPOSITORY, processes_marked
from tests.programs import started

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "deployments.local"]


def test_a_deployment_runs_by_its_schedule_and_nothing_is_left_behind():
    """The commands of the README succeed, the scheduler makes a run, a worker completes it."""
    mark = f"deploy-local-test-{uuid4()}"
    ran = subprocess.run(
        COMMAND,
        cwd=REPOSITORY,
        env={**os.environ, "QSESSION_DEMO_MARK": mark},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert re.search(r"flow run +\S+: Completed, made by the schedule", ran.stdout)
    assert ["closed"] == re.findall(r"outcome +(\w+):", ran.stdout)
    assert [] == processes_marked(mark)


def test_a_terminated_deploy_local_leaves_no_process_behind():
    """SIGTERM, in the middle, stops what was started by then."""
    mark = f"deploy-local-test-{uuid4()}"
    with started(
        COMMAND,
        cwd=REPOSITORY,
        env={**os.environ, "QSESSION_DEMO_MARK": mark},
        stdout=subprocess.PIPE,
        text=True,
    ) as local:
        for line in local.stdout or ():
            if "$ prefect deploy" in line:  # the worker runs by now
                # Python loses sight of a process that it is just starting when a signal arrives.
                wait_until(lambda: any("deploy\0--all" in it for it in processes_marked(mark)))
                local.terminate()

    assert 128 + signal.SIGTERM == local.returncode
    assert [] == processes_marked(mark)
