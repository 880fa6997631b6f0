"""A few trials of the chaos benchmark: however a flow run ends, no session is left open."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
TRIALS = 8


@pytest.fixture(scope="module")
def report():
    """Run the benchmark once, as its users do."""
    command = [sys.executable, "-m", "benchmarks.chaos", "--trials", str(TRIALS), "--json"]
    finished = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=600
    )
    return json.loads(finished.stdout.splitlines()[-1])


def test_every_trial_counts_once(report):
    """
    Each flow run's session has one outcome, and some were released by what is to release them.

    A trial may come to nothing: Prefect's server on SQLite stands still now and then when its
    clients are killed.
    """
    figures, details = report["figures"], report["details"]
    ends = ("released", "never_opened", "unused", "left_open", "reaped", "left_open_after_reaping")
    counted = Counter({end: sum(row[end] for row in details["ways"]) for end in ends})

    assert "chaos" == report["name"]
    assert TRIALS == counted.total() + len(details["not_run"])
    assert 0 < counted["released"] == figures["sessions_released"]
    assert 0 <= figures["release_seconds_median"] <= figures["release_seconds_worst"]


def test_however_a_flow_run_ends_no_session_is_left_open(report):
    """Ten seconds after the end no session takes jobs, and no job waits."""
    figures = report["figures"]

    assert 0 == figures["sessions_left_open"]
    assert 0 == figures["sessions_left_open_after_reaping"]
    assert 0 == figures["jobs_left_queued"]


def test_no_living_flow_run_loses_its_session(report):
    """The reaper has passed, and those who lived on closed their sessions themselves."""
    details = report["details"]

    assert 0 == report["figures"]["living_sessions_released"]
    assert 0 < details["reaper_passes"] > details["reaper_passes_failed"]
    assert {"close"} == {seen["ended_by"] for seen in details["living"]}
