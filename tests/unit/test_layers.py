"""The arrows between the modules, read from their imports."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "prefect_qsession"

LAYERS = (
    {"exceptions", "durations", "states", "records", "ports"},
    {"lifecycle"},
    {"gateway", "credentials", "settings", "owners"},
    {"flow_run_sessions", "task_runners", "primitives", "decorators", "cli", ""},
)
"""From the bottom up, as ARCHITECTURE.md draws them; "" is the package's own front door."""

PREFECT_FREE = LAYERS[0] | LAYERS[1] | {"gateway"}
QISKIT_FREE = (LAYERS[0] | LAYERS[1] | LAYERS[2] | LAYERS[3]) - {"gateway", "primitives"}
BESIDE = {"emulator"}


def _room(path: Path) -> str:
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


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
    """A new module must be placed before it can be imported."""
    assert set.union(*LAYERS) | BESIDE == {_room(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_module_imports_only_its_own_layer_and_those_below(path):
    """Arrows point down; only the command line knows the emulator, which knows none of us."""
    room = _room(path)
    if room in BESIDE:
        allowed = {room}
    else:
        height = next(i for i, layer in enumerate(LAYERS) if room in layer)
        allowed = set.union(*LAYERS[: height + 1]) | (BESIDE if room == "cli" else set())
    imported = {
        name.split(".")[1] for name in _imports(path) if name.startswith("prefect_qsession.")
    }

    assert set() == imported - allowed


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_module_knows_only_the_outside_world_that_its_layer_may_know(path):
    """Vocabulary and policies know neither Prefect nor Qiskit; the gateway knows the client."""
    outside = {name.split(".")[0] for name in _imports(path, at_run_time=True)}
    room = _room(path)

    if room in PREFECT_FREE:
        assert "prefect" not in outside
    if room in QISKIT_FREE:
        assert not outside & {"qiskit", "qiskit_ibm_runtime"}
    if room == "primitives":
        assert "qiskit_ibm_runtime" not in outside


def test_no_two_modules_import_each_other():
    """The imports among the modules have no cycle."""
    arrows: dict[str, set[str]] = {}
    for path in FILES:
        if (room := _room(path)) not in BESIDE:
            names = _imports(path, at_run_time=True)
            targets = {n.split(".")[1] for n in names if n.startswith("prefect_qsession.")}
            arrows.setdefault(room, set()).update(targets - {room} - BESIDE)
    while free := {room for room, targets in arrows.items() if not targets & arrows.keys()}:
        for room in free:
            del arrows[room]

    assert {} == arrows


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_no_module_is_longer_than_three_hundred_lines(path):
    """A longer module is two modules."""
    assert len(path.read_text().splitlines()) <= 300
