"""The README's code runs, as it is printed there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import get_current_settings

from tests.integration.conftest import outcomes

README = (Path(__file__).parents[2] / "README.md").read_text()


def block_of(language: str, containing: str) -> str:
    """Return the code block of a language that contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    [block] = [block for block in blocks if containing in block]
    return block


def test_the_first_flow_of_the_readme_runs(emulator, tmp_path):
    """Saved as the README says, run as it says, with what it says in the environment."""
    environment = {
        **os.environ,
        **emulator.environment(),
        **get_current_settings().to_environment_variables(exclude_unset=True),
        "QISKIT_IBM_RUNTIME_LOG_LEVEL": "ERROR",
    }
    [save] = [line for line in block_of("sh", "Q.from_environment").splitlines() if "-c" in line]
    program = save.removeprefix('python -c "').removesuffix('"')
    (tmp_path / "first.py").write_text(block_of("python", "first"))

    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    ran = subprocess.run(
        [sys.executable, "first.py"],
        env=environment,
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert float(ran.stdout.splitlines()[-1]) == pytest.approx(-1, abs=0.1)
    assert ["close"] == outcomes(emulator)
    assert emulator.sessions[0].id in ran.stderr


def test_the_readme_is_no_longer_than_a_newcomer_reads():
    """A hundred and twenty lines, and a flow of at most thirty."""
    assert len(README.splitlines()) <= 120
    assert len(block_of("python", "first").splitlines()) <= 30
