"""What `make compat` runs, and how the page of the docs shows what it found."""

import tomllib
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import noxfile
from docs.compatibility import (
    NEWEST,
    PAGE,
    PUBLIC_NAMES_ONLY,
    Combination,
    found_in,
    tables,
    with_tables,
)

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SUITE = (
    '<testsuites><testsuite name="{name}" tests="{tests}" failures="{failures}"'
    ' errors="{errors}" skipped="2" time="61.6"/></testsuites>'
)


@pytest.fixture
def write(tmp_path):
    """Write what pytest would for one combination."""

    def write(python, client, tests, failures, errors=0):
        path = tmp_path / f"{python} {NEWEST} {client}.xml"
        name = f"python {python}.1"
        path.write_text(SUITE.format(name=name, tests=tests, failures=failures, errors=errors))
        return found_in(path)

    return write


def test_the_table_has_a_column_for_each_python_and_says_what_did_not_pass(write):
    """A combination that was not run is named, too; 3.9 would stand before 3.10."""
    found = [
        write("3.12", NEWEST, tests=100, failures=0),
        write("3.9", NEWEST, tests=100, failures=3, errors=1),
        write("3.9", "0.50.0", tests=100, failures=0),
    ]

    assert [
        "| Prefect | client | Python 3.9 | Python 3.12 |",
        "|---|---|---|---|",
        "| newest | 0.50.0 | 98 passed, 62 s | not run |",
        "| newest | newest | **4 of 98 failed** | 98 passed, 62 s |",
    ] == tables(found).splitlines()[:4]


def test_tests_that_never_ran_are_no_success(write):
    """As where the collection fails."""
    assert "failed" in str(write("3.12", NEWEST, tests=1, failures=0, errors=1))


def test_what_was_found_takes_the_place_of_what_was(write):
    """And nothing else of the page changes."""
    found = [write("3.12", NEWEST, tests=100, failures=0)]
    page = "before\n<!-- found -->\nold\n<!-- end -->\nafter\n"

    written = with_tables(page, found)

    assert f"before\n<!-- found -->\n{tables(found)}<!-- end -->\nafter\n" == written
    assert written == with_tables(written, found)


@pytest.mark.parametrize(
    ("name", "oldest"),
    [("prefect", noxfile.OLDEST_PREFECT), ("qiskit-ibm-runtime", noxfile.OLDEST_CLIENT)],
)
def test_the_oldest_that_are_tried_are_the_oldest_that_are_taken(name, oldest):
    """Up to the patches of a minor version."""
    (bound,) = (it for it in map(Requirement, PROJECT["dependencies"]) if it.name == name)
    (lower,) = (it.version for it in bound.specifier if it.operator == ">=")

    assert oldest in bound.specifier
    assert oldest.split(".")[:2] == lower.split(".")


def test_every_python_that_is_named_is_tried():
    """As the package's index shows them."""
    named = {it.split()[-1] for it in PROJECT["classifiers"] if "Python :: 3." in it}

    assert set(noxfile.PYTHONS) == named


def test_the_page_shows_that_every_combination_passed():
    """A table with a failure, or a hole, is not to be committed."""
    page = PAGE.read_text()
    clients = (noxfile.OLDEST_CLIENT, NEWEST, PUBLIC_NAMES_ONLY)
    shown = [line for line in page.splitlines() if line.startswith("| ") and "Prefect" not in line]

    assert set(product((noxfile.OLDEST_PREFECT, NEWEST), clients)) == {
        tuple(cell.strip() for cell in line.split("|")[1:3]) for line in shown
    }
    assert len(noxfile.PYTHONS) * len(shown) == sum(line.count(" passed, ") for line in shown)


def test_results_are_found_again_by_their_names():
    """A combination is written and read as the same."""
    combination = Combination("3.13", NEWEST, PUBLIC_NAMES_ONLY)

    assert combination == Combination(*combination.results.stem.split(" ", 2))
