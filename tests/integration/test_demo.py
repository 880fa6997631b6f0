"""`make demo` shows what it promises, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.programs import started

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


def processes_marked(mark: str) -> list[str]:
    """Return the processes that have inherited a mark in their environment."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_text():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return found


def test_the_demonstration_tells_of_one_closed_and_two_cancelled_sessions():
    """Three sessions, every job finished, an energy within 0.02 hartree, and no process left."""
    mark = f"demo-test-{uuid4()}"
    ran = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=REPOSITORY,
        env={**os.environ, "QSESSION_DEMO_MARK": mark},
        capture_output=True,
        text=True,
        check=True,
    )
    told = ran.stdout

    assert ["closed", "cancelled", "cancelled"] == re.findall(r"outcome +(closed|cancelled):", told)
    assert ["Completed", "Failed", "killed"] == re.findall(r"flow run +(\w+)", told)
    assert 3 == len(set(re.findall(r"session +([0-9a-f-]{36}) on ibm_sherbrooke", told)))
    assert 3 == len(re.findall(r"jobs +\d+ Completed; 0 left in the queue", told))
    [off, _] = re.findall(r"hartree, (\d\.\d+) from the exact", told)
    assert float(off) <= 0.02
    [seconds] = re.findall(r"after +(\d+\.\d+) s: by the guardian", told)
    assert float(seconds) < 2
    assert [] == processes_marked(mark)


def test_a_terminated_demonstration_leaves_no_process_behind():
    """SIGTERM, from a time limit or a closed terminal, stops the servers too."""
    mark = f"demo-test-{uuid4()}"
    with started(
        [sys.executable, "-m", "demo"],
        cwd=REPOSITORY,
        env={**os.environ, "QSESSION_DEMO_MARK": mark},
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        for line in demo.stdout or ():
            if "both up" in line:
                demo.terminate()

    assert 128 + signal.SIGTERM == demo.returncode
    assert [] == processes_marked(mark)
