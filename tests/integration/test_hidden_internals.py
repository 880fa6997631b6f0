"""What the client does not offer may be gone: flows give the same results, only slower."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import qiskit_ibm_runtime
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from prefect_qsession.emulator import Answer, Drop, Fault, TimingSettings
from prefect_qsession.ibm.internals import PUBLIC_NAMES_ONLY
from tests.harness.waiting import wait_until
from tests.integration.conftest import outcomes
from tests.integration.hidden_flows import ANGLES, TOLD

ROOT = Path(__file__).parents[2]
EXPECTED = pytest.approx(-np.cos(ANGLES), abs=0.15)


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of a process that uses the Prefect server of these tests."""
    return os.environ | {
        "PREFECT_API_URL": PREFECT_API_URL.value(),
        "PREFECT_HOME": str(PREFECT_HOME.value()),
        "PYTHONPATH": str(ROOT),
        **changes,
    }


def run(variables, block, *names):
    """Run flows in a process of its own; return what each returned, and what the process said."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.integration.hidden_flows", block, *names],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = ran.stdout.splitlines()
    found = [json.loads(line.removeprefix(TOLD)) for line in lines if line.startswith(TOLD)]
    return dict(zip(names, found, strict=False)), ran.stdout


@pytest.fixture
def hidden():
    """Return the environment of a process that has not a single half-public name."""
    return environment(**{PUBLIC_NAMES_ONLY: "1"})


@pytest.mark.slow
def test_every_flow_gives_the_same_results_without_half_public_names(hidden, block, emulator):
    """
    Values that change from job to job, both generations, attempts, failures and budgets; and the
    guardian of a process that is killed in the end knows the service's address.
    """
    names = ("primitives", "legacy", "counts", "fails", "resumed")
    returned, said = run(hidden, block, *names, "killed")
    assert set(names) == set(returned), said

    computed = returned["primitives"]
    assert (EXPECTED, EXPECTED) == (computed["estimator"], computed["sampler"])
    assert (20, True, True) == (computed["executor"], computed["refused"], computed["hidden"])
    assert {"estimator": EXPECTED, "sampler": EXPECTED} == returned["legacy"]
    assert 1 == returned["counts"]
    assert "FAILED" == returned["fails"]
    # The flow run's jobs and the task's are found by their second attempts.
    first, second = returned["resumed"]["attempts"]
    assert first == second
    assert 1 == len(set(returned["resumed"]["task"]))
    assert 1 == said.count("Requests go the client's own way")

    jobs = [len(session.job_ids) for session in emulator.sessions]
    assert [2 * len(ANGLES) + 1, 2 * len(ANGLES), 1, 1, 3, 1] == jobs
    wait_until(lambda: None not in outcomes(emulator))
    assert ["close", "close", "close", "cancel", "close", "cancel"] == outcomes(emulator)


@pytest.mark.slow
def test_a_job_whose_answer_was_lost_runs_once(hidden, save_block, make_emulator):
    """The client submits it again after a 502, and learns of neither: one of the two goes on."""
    emulator = make_emulator(timing=TimingSettings(fixed_seconds=2.0))
    for effect in (Answer(502, after_work=True), Drop(after_work=True)):
        emulator.faults.add(Fault("/jobs", effect, method="POST", count=1))

    returned, said = run(hidden, save_block(emulator), "counts")

    assert {"counts": 1} == returned, said
    assert ["Cancelled", "Completed"] == sorted(job.status for job in emulator.jobs), said
    assert ["close"] == outcomes(emulator)


@pytest.fixture
def later_client(tmp_path):
    """
    Return a folder with this client as it will be.

    One of the legacy names means the other generation, as IBM has announced; the other is gone.
    """
    here = Path(qiskit_ibm_runtime.__file__).parent
    later = tmp_path / "later" / here.name
    later.mkdir(parents=True)
    for entry in here.iterdir():
        if entry.name not in ("__init__.py", "__pycache__"):
            (later / entry.name).symlink_to(entry)
    lines = (here / "__init__.py").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("from .estimator ", "from .sampler "))]
    announced = "from .executor_estimator import EstimatorV2, EstimatorV2 as Estimator"
    (later / "__init__.py").write_text("\n".join([*kept, announced]))
    return later.parent


@pytest.mark.slow
def test_a_client_without_legacy_primitives_says_so_and_all_else_works(
    later_client, block, emulator
):
    """By an error of its own, before a session opens."""
    variables = environment(PYTHONPATH=f"{later_client}:{ROOT}")
    returned, said = run(variables, block, "legacy", "primitives")
    assert {"legacy", "primitives"} == set(returned), said

    assert ["estimator()", "sampler()"] == returned["legacy"]["refused"]
    computed = returned["primitives"]
    assert (EXPECTED, EXPECTED) == (computed["estimator"], computed["sampler"])
    assert not computed["hidden"]
    assert ["close"] == outcomes(emulator)
