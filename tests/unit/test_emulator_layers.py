"""The arrows between the emulator's rooms, and what its modules know, read from their imports."""

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2] / "prefect_qsession" / "emulator"
PREFIX = "prefect_qsession.emulator."

ARROWS = {
    "settings": set(),
    "rules": {"settings"},
    "computing": {"rules"},
    "running": {"settings", "rules", "computing"},
    "faults": {"settings", "rules", "running"},
    "views": {"rules", "running", "faults"},
    "wire": {"settings", "rules", "running", "faults", "views"},
    "server": {"settings", "rules", "computing", "running", "faults", "views", "wire"},
    "": {"settings", "rules", "computing", "running", "faults", "server"},
}
"""Room by room, or module by module where it has no room, what it imports; "" is the front door."""

PURE = {
    *("settings", "rules", "faults.effects", "faults.fault", "faults.lines", "views.overview"),
    "wire.documents",
}
"""Rooms and modules that decide or describe: they do no I/O, and are told the time."""

KNOWN_TO_PURE = {
    *("base64", "collections", "dataclasses", "datetime", "enum", "functools", "hashlib", "heapq"),
    *("itertools", "json", "math", "random", "re", "secrets", "shlex", "types", "typing", "uuid"),
    "pydantic",
}

KNOWN_TO_ROOMS = {
    "qiskit": {"computing"},
    "qiskit_aer": {"computing"},
    "qiskit_ibm_runtime": {"computing"},
    "subprocess": {"computing"},
    "time": {"running"},
    "fastapi": {"wire"},
    "starlette": {"wire"},
    "uvicorn": {"server"},
    "socket": {"server"},
}
"""What stands for a part of the outside world, and the one room that knows it."""


def _name(path: Path) -> str:
    """Return a module's name within the emulator; that of a folder's `__init__` is the folder's."""
    parts = path.relative_to(HOME).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {_name(path): path for path in sorted(HOME.rglob("*.py"))}
"""The file of each module."""


def _imports(name: str) -> set[str]:
    """Return the full names of the modules that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {member for member in members if member.removeprefix(PREFIX) in FILES}
            found |= modules or {str(node.module)}
    return found


def _inside(name: str) -> set[str]:
    """Return the emulator's modules that a module imports."""
    return {full.removeprefix(PREFIX) for full in _imports(name) if full.startswith(PREFIX)}


def _outside(name: str) -> set[str]:
    """Return the packages outside of the emulator that a module imports."""
    return {full.partition(".")[0] for full in _imports(name) if not full.startswith(PREFIX)}


def _room(name: str) -> str:
    return name.partition(".")[0]


def _is_pure(name: str) -> bool:
    return name in PURE or _room(name) in PURE


def test_rooms_import_what_the_table_says():
    """Every arrow between rooms is in the table, and the table has no other."""
    arrows: dict[str, set[str]] = {}
    for name in FILES:
        targets = {_room(target) for target in _inside(name)} - {_room(name)}
        arrows.setdefault(_room(name), set()).update(targets)

    assert ARROWS == arrows


def test_no_two_rooms_need_each_other():
    """The table has no cycle."""
    assert set(ARROWS) == set(TopologicalSorter(ARROWS).static_order())


def test_no_two_modules_of_the_emulator_need_each_other():
    """The imports among the modules have no cycle, within a room either."""
    modules = {name: _inside(name) for name in FILES}

    assert set(modules) == set(TopologicalSorter(modules).static_order())


@pytest.mark.parametrize("name", FILES)
def test_a_module_of_the_emulator_imports_nothing_of_the_rest(name):
    """It cannot agree with the mistakes of what it shares no code with."""
    assert not _outside(name) & {"prefect", "prefect_qsession", "tests", "benchmarks"}


@pytest.mark.parametrize("name", [name for name in FILES if _is_pure(name)])
def test_what_decides_knows_nothing_that_speaks_to_the_outside(name):
    """No I/O, no process, no thread and no clock: neither its own, nor that of what it imports."""
    assert set() == _outside(name) - KNOWN_TO_PURE
    assert set() == {target for target in _inside(name) if not _is_pure(target)}
    assert "datetime.now" not in FILES[name].read_text()


@pytest.mark.parametrize("name", FILES)
def test_one_room_knows_each_part_of_the_outside_world(name):
    """The client and Qiskit are known where jobs are computed, HTTP on the wire."""
    known = {package for package, rooms in KNOWN_TO_ROOMS.items() if _room(name) in rooms}

    assert set() == _outside(name) & KNOWN_TO_ROOMS.keys() - known


def test_no_two_classes_of_the_emulator_share_a_name():
    """A name says which class it is."""
    classes = Counter(
        node.name
        for path in FILES.values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )

    assert {} == {name: times for name, times in classes.items() if times > 1}


@pytest.mark.parametrize("name", FILES)
def test_no_module_of_the_emulator_is_longer_than_five_hundred_lines(name):
    """A longer module is two modules."""
    assert len(FILES[name].read_text().splitlines()) <= 500
