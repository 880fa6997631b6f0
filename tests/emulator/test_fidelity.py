"""The page about the emulator has every endpoint and rule, and the tests it names exist."""

import re

import pytest
import requests

from prefect_qsession.emulator.settings import RUNTIME_PREFIX

from .conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "emulator.md").read_text()
TABLE = PAGE.partition("## What is emulated")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if line.startswith("| ")
]
RULES = [
    f"{letter}{number}"
    for letter, count in {"S": 13, "B": 6, "J": 3, "U": 5, "F": 2, "P": 2, "C": 5}.items()
    for number in range(1, count + 1)
]


def named_tests() -> set[str]:
    """Return every test that the page names."""
    return set(re.findall(r"`(test_\w+)`", PAGE))


def test_every_test_that_the_page_names_exists():
    """A test that was renamed is renamed there too."""
    files = (REPOSITORY / "tests" / "emulator").glob("test_*.py")
    code = "\n".join(file.read_text() for file in files)
    existing = set(re.findall(r"^def (test_\w+)", code, re.MULTILINE))

    assert set() == named_tests() - existing
    assert len(named_tests()) > 60


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_test_or_is_said_not_to_be_emulated(rule):
    """Each has its row: what, source, test, known difference."""
    [[_, what, source, test, difference]] = [row for row in ROWS if row[0] == rule]

    assert what
    assert source
    assert "test_" in test or difference.startswith("not emulated")


def test_every_endpoint_is_on_the_page(emulator):
    """What the emulator describes and what the page has are the same."""
    description = requests.get(f"{emulator.url}/emulator/openapi.json", timeout=5).json()
    described = {
        f"{method.upper()} {path.removeprefix(RUNTIME_PREFIX)}"
        for path, methods in description["paths"].items()
        for method in methods
        if path != "/" and not path.startswith("/emulator")
    }
    on_page = {row[0].strip("`") for row in ROWS if re.match(r"`[A-Z]+ /", row[0])}

    assert described == on_page
