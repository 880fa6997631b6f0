"""The programs on the pages for users run, as they are printed there."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.settings import get_current_settings

from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.emulator import TimingSettings
from tests.integration.conftest import outcomes

ROOT = Path(__file__).parents[2]
PAGES = {page.stem: page.read_text() for page in sorted((ROOT / "docs").glob("*.md"))}
PROGRAM = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Ending:
    """What a program on a page leads to: the ends of its sessions, how many jobs, its last line."""

    page: str
    program: str
    sessions: list[str]
    jobs: range
    last_line: str


SOME = range(3, 40)
ENDINGS = [
    Ending("account", "backends.py", [], range(1), r"ibm_\w+ \d+ \d+"),
    Ending("authoring", "scan.py", ["close"], range(4, 5), r"-[01]\.\d+"),
    Ending("budgets", "frugal.py", ["close"], range(6, 7), "6 rounds"),
    Ending("migrating", "after.py", ["close"], SOME, r"-(0\.99|1\.0)\d*"),
    Ending("migrating", "before.py", ["close"], SOME, r"-(0\.99|1\.0)\d*"),
    Ending("resuming", "stubborn.py", ["close"], range(5, 6), r"\[100, 101, 102, 103, 104\]"),
]
ELSEWHERE = {
    ("quickstart", "first.py"),
    ("quickstart", "mornings.py"),
    ("testing", "flip.py"),
    ("testing", "test_flip.py"),
}
"""Run by the tests of the README, of Prefect's UI, and of the pytest plugin."""


def programs() -> set[tuple[str, str]]:
    """Return the programs of all pages: those that begin with the name of a file."""
    return {(page, name) for page, text in PAGES.items() for name, _ in PROGRAM.findall(text)}


def test_every_program_on_a_page_is_run_by_a_test():
    """A new one has to say here what it leads to."""
    assert programs() - ELSEWHERE == {(ending.page, ending.program) for ending in ENDINGS}


def test_the_readme_and_the_quick_start_show_the_same_flow():
    """Who goes from one to the other finds nothing changed."""
    assert (
        f"```python\n{dict(PROGRAM.findall(PAGES['quickstart']))['first.py']}```"
        in (ROOT / "README.md").read_text()
    )


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS, ids=[f"{it.page}-{it.program}" for it in ENDINGS])
def test_a_program_on_a_page_runs_as_it_says(ending, make_emulator, tmp_path):
    """Saved under its name and run by Python, with the block that the pages name."""
    emulator = make_emulator(hand_clock=True, skip_waits=True, timing=TimingSettings())
    environment = {
        **os.environ,
        **emulator.environment(),
        **get_current_settings().to_environment_variables(exclude_unset=True),
        "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
    }
    QiskitRuntimeCredentials.from_environment(emulator.environment()).save("ibm", overwrite=True)
    for name, program in PROGRAM.findall(PAGES[ending.page]):
        (tmp_path / name).write_text(program)

    ran = subprocess.run(
        [sys.executable, ending.program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert 0 == ran.returncode, ran.stderr
    assert re.fullmatch(ending.last_line, ran.stdout.splitlines()[-1])
    assert ending.sessions == outcomes(emulator)
    assert len(emulator.jobs) in ending.jobs
