"""The rooms of the package, and the arrows between them, read from the imports."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "prefect_qsession"

ARROWS = {
    "exceptions": "",
    "states": "exceptions",
    "config": "exceptions",
    "prefect_api": "exceptions",
    "ibm": "exceptions config",
    "budget": "exceptions config ibm",
    "reporting": "exceptions states config prefect_api ibm",
    "release": "exceptions states config prefect_api ibm reporting",
    "jobs": "exceptions config prefect_api ibm budget reporting",
    "workers": "exceptions config prefect_api ibm budget reporting jobs",
    "session": "exceptions states config prefect_api ibm budget reporting release jobs workers",
    "door": "exceptions states config prefect_api ibm reporting release jobs workers session",
    "doctor": "exceptions config prefect_api ibm release door",
    "cli": "exceptions states ibm release door doctor emulator",
    "testing": "door emulator",
    "emulator": "",
}
"""Each room, from the bottom up, and the rooms that it imports; the door is the package's top."""

PURE = {
    "exceptions": "",
    "states": "",
    "config": "backends durations modes options policy tested",
    "prefect_api": "requests",
    "ibm": "codes records",
    "budget": "rules",
    "reporting": "run_events log_lines report.curve report.histories report.markdown report.model"
    " report.savings report.series report.svg report.tables report.timeline report.words",
    "release": "reaping records releasing",
    "jobs": "activity packing reattachment waiting",
    "session": "lifecycle",
    "doctor": "findings",
}
"""
The modules of each room that decide, and the data they decide on.

They ask nobody, and read no clock and no file; what has to be known is given to them.
"""

HARMLESS = (
    "base64 collections contextlib dataclasses datetime difflib enum functools hashlib html inspect"
    " logging math packaging pydantic re threading.Condition threading.Lock typing uuid"
)
"""What pure modules import that is not ours."""

WHO_KNOWS = {
    "prefect": "prefect_api reporting release workers session door doctor",
    "httpx": "prefect_api release workers session doctor",
    "qiskit": "ibm jobs.session_jobs primitives",
    "qiskit_ibm_runtime": "ibm",
    "requests": "ibm release.guardian.messages cli.emulator_faults",
}
"""The rooms and modules that may import it at run time; httpx has what Prefect's client raises."""

LONGEST, LONG = 500, 300


def _name(path: Path) -> str:
    """Return the dotted name of a module below the package; "" is the front door itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
MODULES = [name for name in FILES if not f"{name}.".startswith("emulator.")]
"""Those that have rooms; the emulator is one room here."""


def _room(module: str) -> str:
    first = module.partition(".")[0]
    return first if first in ARROWS else "door"


def _imports(module: str, *, at_run_time: bool = False) -> set[str]:
    """Return the dotted names that a module imports; those for types only, unless left out."""
    skipped = {
        id(node)
        for block in ast.walk(TREES[module])
        if at_run_time and isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(TREES[module]):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _imports_of_ours(module: str) -> set[str]:
    """Return the modules of the package that a module imports, be it for types only."""
    names = {
        name.partition(".")[2]
        for name in _imports(module)
        if name.partition(".")[0] == "prefect_qsession"
    }
    return {name if name in FILES else name.rpartition(".")[0] for name in names} - {module}


def _within(name: str, places: str) -> bool:
    """Whether a dotted name is one of these places, or inside of one."""
    return any(name == place or name.startswith(f"{place}.") for place in places.split())


def _cycle(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what is left when nothing is left that points at nothing."""
    left = dict(arrows)
    while free := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in free}
    return left


def test_every_folder_is_a_room():
    """A folder that is new must be given its arrows before it can be imported."""
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}

    assert set() == folders - ARROWS.keys()


def test_the_arrows_between_the_rooms_have_no_cycle():
    """They can be drawn from the bottom up."""
    assert {} == _cycle({room: set(targets.split()) for room, targets in ARROWS.items()})


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_from_rooms_that_its_own_may_import(module):
    """Also where it imports late, or for types."""
    imported = {_room(name) for name in _imports_of_ours(module)}

    assert set() == imported - {_room(module), *ARROWS[_room(module)].split()}


@pytest.mark.parametrize("room", ARROWS)
def test_a_room_imports_from_every_room_that_it_may_import(room):
    """An arrow that nobody needs any more is taken from the table."""
    imported = {
        _room(name)
        for module in FILES
        if _room(module) == room
        for name in _imports_of_ours(module)
    }

    assert set() == set(ARROWS[room].split()) - imported


def test_no_two_modules_import_each_other():
    """The imports among the modules have no cycle."""
    assert {} == _cycle({module: _imports_of_ours(module) for module in MODULES})


PURE_MODULES = [
    f"{room}.{name}" if name else room
    for room, names in PURE.items()
    for name in names.split() or [""]
]


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_imports_only_pure_ones_and_what_does_nothing(module):
    """What decides can be tried out without Prefect, Qiskit, a network, a file or a clock."""
    foreign = {name for name in _imports(module) if name.partition(".")[0] != "prefect_qsession"}

    assert set() == {name for name in foreign if not _within(name, HARMLESS)}
    assert set() == {
        name for name in _imports_of_ours(module) if name not in {*PURE_MODULES, "exceptions"}
    }


@pytest.mark.parametrize("module", MODULES)
def test_a_module_knows_only_the_outside_world_that_its_room_may_know(module):
    """The client is known in one room, Prefect and Qiskit where they must be."""
    known = {name.partition(".")[0] for name in _imports(module, at_run_time=True)}
    may = {
        outside
        for outside, places in WHO_KNOWS.items()
        if _room(module) in places.split() or _within(module, places)
    }

    assert set() == known & WHO_KNOWS.keys() - may


def test_the_guardians_process_needs_the_standard_library_alone():
    """It runs where nothing else may be left."""
    imported = {name.partition(".")[0] for name in _imports("release.guardian.sidecar")}

    assert set() == imported - sys.stdlib_module_names


def test_modules_are_short():
    """None is longer than five hundred lines, and nine of ten are shorter than three hundred."""
    lengths = {name: len(path.read_text().splitlines()) for name, path in FILES.items()}

    assert {} == {name: length for name, length in lengths.items() if length > LONGEST}
    assert sum(length <= LONG for length in lengths.values()) >= 0.9 * len(lengths)
