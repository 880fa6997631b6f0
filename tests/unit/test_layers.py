"""The arrows between the modules, read from their imports."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "prefect_qsession"

ROOMS = {
    "budget",
    "config",
    "ibm",
    "jobs",
    "prefect_api",
    "release",
    "reporting",
    "session",
    "workers",
}
"""Folders of many modules; any other name is a module, or a package that is like one."""
DOOR = {
    "",
    "cli",
    "credentials",
    "decorators",
    "doctor",
    "hooks",
    "policies",
    "primitives",
    "reaper",
    "retries",
    "settings",
    "task_runners",
    "testing",
    "tracking",
}
LAYERS = (ROOMS | {"exceptions", "states"}, DOOR)
"""From the bottom up, as ARCHITECTURE.md draws them; "" is the package's own front door."""

PREFECT_FREE = {"config", "exceptions", "ibm", "states", "budget"}
PREFECT_FREE_MODULES = {"release.guardian", "release.processes"}
KNOW_QISKIT = {"ibm", "jobs.session_jobs", "primitives"}
KNOW_CREDENTIALS = {"workers", "session"}
"""Rooms that still know the block, which belongs to the door."""

BESIDE = {"emulator"}


def _room(path: Path) -> str:
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def _module(name: str) -> str:
    """Return the module of a dotted name below the package, with its room."""
    room, *rest = name.split(".")
    return f"{room}.{rest[0]}" if room in ROOMS and rest else room


def _module_of(path: Path) -> str:
    return _module(".".join(path.relative_to(PACKAGE).with_suffix("").parts))


def _imports(path: Path, *, at_run_time: bool = False) -> set[str]:
    """Return the modules that a file imports; those for type checkers only, unless left out."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if at_run_time and isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))
IDS = [str(path.relative_to(PACKAGE)) for path in FILES]


def test_every_module_has_a_layer():
    """What is new at the top must be placed before it can be imported."""
    assert set.union(*LAYERS) | BESIDE == {_room(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_module_imports_only_its_own_layer_and_those_below(path):
    """Arrows point down; only the command line and the fixtures know the emulator."""
    room = _room(path)
    if room in BESIDE:
        allowed = {room}
    else:
        height = next(i for i, layer in enumerate(LAYERS) if room in layer)
        allowed = set.union(*LAYERS[: height + 1]) | (
            BESIDE if room in {"cli", "testing"} else set()
        )
        if room in KNOW_CREDENTIALS:
            allowed |= {"credentials"}
    imported = {
        name.split(".")[1] for name in _imports(path) if name.startswith("prefect_qsession.")
    }

    assert set() == imported - allowed


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_module_knows_only_the_outside_world_that_its_layer_may_know(path):
    """Prefect, Qiskit and the client are known where they must be."""
    outside = {name.split(".")[0] for name in _imports(path, at_run_time=True)}
    room = _room(path)

    if room in PREFECT_FREE or _module_of(path) in PREFECT_FREE_MODULES:
        assert "prefect" not in outside
    if room not in KNOW_QISKIT | BESIDE and _module_of(path) not in KNOW_QISKIT:
        assert "qiskit" not in outside
    if room not in {"ibm", *BESIDE}:
        assert "qiskit_ibm_runtime" not in outside


def test_no_two_modules_import_each_other():
    """The imports among the modules have no cycle."""
    arrows: dict[str, set[str]] = {}
    for path in FILES:
        if _room(path) not in BESIDE:
            module = _module_of(path)
            names = _imports(path, at_run_time=True)
            inside = (n.partition(".")[2] for n in names if n.startswith("prefect_qsession."))
            targets = {_module(name) for name in inside}
            arrows.setdefault(module, set()).update(targets - {module} - BESIDE)
    while free := {module for module, targets in arrows.items() if not targets & arrows.keys()}:
        for module in free:
            del arrows[module]

    assert {} == arrows


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_no_module_is_longer_than_three_hundred_lines(path):
    """A longer module is two modules."""
    assert len(path.read_text().splitlines()) <= 300
