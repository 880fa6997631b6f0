"""The page about costs shows what the emulator bills."""

import re
import subprocess
import sys

import pytest

from .conftest import REPOSITORY

PAGES = REPOSITORY / "docs"


@pytest.mark.slow
def test_the_drawing_of_what_a_loop_costs_is_what_the_emulator_bills_now(tmp_path):
    """`make docs` would change nothing, and the page's words for it are the drawing's numbers."""
    command = [sys.executable, "-m", "docs.costs", str(tmp_path / "costs.svg")]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=240)
    drawn = (tmp_path / "costs.svg").read_text()
    [told] = re.findall(r"!\[(.*?)\]", (PAGES / "costs.md").read_text())

    assert (PAGES / "pictures" / "costs.svg").read_text() == drawn
    assert set(re.findall(r"\d+ s", "".join(re.findall(r"done after .*? s<", drawn)))) == set(
        re.findall(r"\d+ s", told)
    )
