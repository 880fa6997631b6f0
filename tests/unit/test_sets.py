"""No proof gets lost: what `make test` leaves out, `make test-slow` runs, and CI calls both."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = ("test", "test-slow")


def _options(target: str) -> list[str]:
    """Return how a target of the Makefile selects its tests."""
    told = subprocess.run(
        ["make", "--dry-run", "--always-make", target],  # noqa: S607 - whichever there is
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    [expression] = re.findall(r'-m "([^"]+)"', told)
    return ["-m", expression]


def _collected(*options: str) -> set[str]:
    """Return the tests that pytest would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *options]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {line for line in told.splitlines() if "::" in line}


@pytest.mark.slow
def test_the_two_sets_together_are_everything():
    """Every test that is there is in one of them; those of hypothesis are in both."""
    everything = _collected()
    quick, slow = (_collected(*_options(target)) for target in TARGETS)

    assert quick | slow == everything
    assert quick & slow == _collected("-m", "deep and not slow")


def test_ci_runs_both_sets():
    """What must pass before a change lands is every test."""
    script = (ROOT / ".ci/run").read_text().splitlines()

    assert [f"make {target}" for target in TARGETS] == [
        line for line in script if line.startswith("make test")
    ]


GROUPED = """
import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(8))
def test_where_it_runs(number, worker_id):
    print("in", worker_id)
    assert False
"""


@pytest.mark.slow
def test_the_tests_of_a_group_run_in_one_process(tmp_path):
    """They share what takes long to start; not with every pair of pytest and pytest-xdist."""
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    command = [sys.executable, "-m", "pytest", "-n2", "--dist=loadgroup", "-p", "no:cacheprovider"]
    told = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    workers = re.findall(r"^in (gw\d)$", told.stdout, re.MULTILINE)

    assert 8 == len(workers)
    assert 1 == len(set(workers))
