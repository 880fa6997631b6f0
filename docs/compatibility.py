"""Write what `make compat` has found into its page: `python -m docs.compatibility DIRECTORY`."""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "compatibility.md"
RESULTS = ROOT / ".durations" / "compat"
_TABLES = re.compile(r"(?<=<!-- found -->\n)[^\0]*?(?=<!-- end -->)")

NEWEST = "newest"
PUBLIC_NAMES_ONLY = "public names only"
"""The newest client, of which everything is hidden that it does not offer."""


@dataclass(frozen=True)
class Combination:
    """Versions that the core tests are run with, as they are asked for."""

    python: str
    prefect: str
    client: str

    @property
    def results(self) -> Path:
        """Where pytest writes what it has found; the name is read again by `found_in`."""
        return RESULTS / f"{self.python} {self.prefect} {self.client}.xml"


@dataclass(frozen=True)
class Found:
    """How the core tests went with one combination."""

    combination: Combination
    versions: str
    """As they were installed."""
    passed: int
    not_passed: int
    seconds: float

    def __str__(self) -> str:
        """Return a cell of the table."""
        if self.not_passed or not self.passed:
            return f"**{self.not_passed} of {self.passed + self.not_passed} failed**"
        return f"{self.passed} passed, {self.seconds:.0f} s"


def found_in(path: Path) -> Found:
    """Read what pytest has written for one combination."""
    suite = next(ET.parse(path).iter("testsuite"))  # noqa: S314 - our own file
    tests, failures, errors, skipped = (
        int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
    )
    python, prefect, client = path.stem.split(" ", 2)
    return Found(
        Combination(python, prefect, client),
        suite.get("name", ""),
        tests - failures - errors - skipped,
        failures + errors,
        float(suite.get("time", 0)),
    )


def tables(found: Iterable[Found]) -> str:
    """Return the table of what was found, a column for each Python, and the newest versions."""
    cells = {it.combination: it for it in found}
    pythons = sorted({it.python for it in cells}, key=lambda version: int(version.split(".")[1]))
    rows = sorted({(it.prefect, it.client) for it in cells})
    newest = {
        it.versions
        for it in cells.values()
        if it.combination.prefect == it.combination.client == NEWEST
    }
    return "".join(
        (
            f"| Prefect | client | {' | '.join(f'Python {it}' for it in pythons)} |\n",
            f"|---|---|{'---|' * len(pythons)}\n",
            *(_row(*row, pythons, cells) for row in rows),
            "\nThe newest, as they were installed:\n\n",
            *(f"- {versions}\n" for versions in sorted(newest)),
        )
    )


def _row(prefect: str, client: str, pythons: Iterable[str], cells: dict[Combination, Found]) -> str:
    found = (cells.get(Combination(python, prefect, client)) for python in pythons)
    return f"| {prefect} | {client} | {' | '.join(str(it or 'not run') for it in found)} |\n"


def with_tables(page: str, found: Iterable[Found]) -> str:
    """Return the page with what was found."""
    written = tables(found)
    return _TABLES.sub(lambda _: written, page)


def _read(directory: Path) -> Iterator[Found]:
    return (found_in(path) for path in directory.glob("*.xml"))


def main(directory: Path) -> int:
    """Print and write the table; return 1 if it is not all green."""
    found = list(_read(directory))
    print(tables(found))
    PAGE.write_text(with_tables(PAGE.read_text(), found))
    return int(any(it.not_passed or not it.passed for it in found) or not found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
