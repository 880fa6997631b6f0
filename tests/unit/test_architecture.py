"""ARCHITECTURE.md and the first change in CONTRIBUTING.md say what the code says."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from textwrap import dedent
from types import ModuleType
from typing import get_args

import pytest

from docs.architecture import HOLDS, INTERPLAYS, PLACES, Call, label
from docs.diagrams import DIAGRAMS
from tests.unit.test_layers import PURE_MODULES
from tests.unit.test_names import CLASSES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "prefect_qsession"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()

MOST_LINES = 150

STEPS = [step for drawn in INTERPLAYS.values() for step in drawn.steps]
CALLS = [step for step in STEPS if isinstance(step, Call)]


def found(name):
    """Return the class or module of a name as the pictures have it."""
    if name.partition(".")[0] in ("qiskit_ibm_runtime", "requests"):
        return resolve_name(name)
    return resolve_name(f"prefect_qsession.{name}")


def is_ours(thing):
    """Whether it is the package's own."""
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    return name.startswith("prefect_qsession")


@cache
def nodes(thing):
    """Return the syntax of a module, or of a class and those of ours that it is one of."""
    parts = [it for it in getattr(thing, "__mro__", (thing,)) if is_ours(it)]
    trees = [ast.parse(dedent(inspect.getsource(part))) for part in parts]
    return [node for tree in trees for node in ast.walk(tree)]


def called(thing):
    """Return the names of all that is called in it."""
    functions = [node.func for node in nodes(thing) if isinstance(node, ast.Call)]
    return {it.attr if isinstance(it, ast.Attribute) else ast.unparse(it) for it in functions}


def kept(thing):
    """Return the names of the attributes that its objects are given."""
    return {
        node.attr
        for node in nodes(thing)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) == "self"
    }


def words(thing):
    """Return the names in its syntax, those in quoted annotations too, but not in docstrings."""
    docstrings = {id(node.value) for node in nodes(thing) if isinstance(node, ast.Expr)}
    names = [node.id for node in nodes(thing) if isinstance(node, ast.Name)]
    quoted = [
        str(node.value)
        for node in nodes(thing)
        if isinstance(node, ast.Constant) and id(node) not in docstrings
    ]
    return set(re.findall(r"\w+", " ".join([*names, *quoted])))


def offered(thing):
    """Return what an object of this class has, as far as others may use it."""
    annotated = {it for base in thing.__mro__ for it in inspect.get_annotations(base)}
    inherited = set(dir(thing)) - set(dir(object))
    return {it for it in annotated | inherited | kept(thing) if not it.startswith("_")}


@pytest.mark.parametrize("hold", HOLDS, ids=lambda it: f"{label(it.holder)}.{it.name}")
def test_who_holds_in_the_picture_holds_in_the_code(hold):
    """By an attribute of that name, or by a call."""
    holder, held = found(hold.holder), found(hold.held)
    place = found(hold.where) if hold.where else holder
    if hold.name.endswith("()"):
        known = called(place) | set(vars(place))
        assert hold.name.removesuffix("()") in known
    elif is_ours(holder):
        assert hold.name in kept(holder)
        known_as = (hold.named or hold.held).rpartition(".")[2]
        assert known_as in words(holder) | words(inspect.getmodule(holder))
    else:
        assert hasattr(holder, hold.name)
    if hold.named:
        known_as = found(hold.named)
        assert held in get_args(known_as) or not offered(known_as) - offered(held)


@pytest.mark.parametrize("call", CALLS, ids=lambda it: f"{label(it.caller)}.{it.name}")
def test_who_calls_in_a_picture_calls_in_the_code(call):
    """The caller has a call of that name, and the other one has what is called."""
    assert (call.through or call.name) in called(found(call.caller))
    assert callable(getattr(found(call.callee), call.name))


@pytest.mark.parametrize("drawn", INTERPLAYS.values(), ids=INTERPLAYS)
def test_everyone_in_a_picture_takes_part(drawn):
    """A lane that nobody needs any more is taken away."""
    lanes = [who for _, whose in drawn.processes for who in whose]

    assert set(lanes) == {who for it in drawn.steps for who in (it.caller, it.callee)}


def test_everyone_who_has_a_place_is_held_or_holds():
    """In the picture of who holds whom."""
    assert set(PLACES) == {who for hold in HOLDS for who in (hold.holder, hold.held)}


def test_the_architecture_is_short():
    """It is read in one go."""
    assert len(ARCHITECTURE.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", sorted(set(DIAGRAMS) - {"session_states"}))
def test_the_architecture_shows_its_pictures(name):
    """That of the states is in the pages for users."""
    assert f"(docs/pictures/{name}.svg)" in ARCHITECTURE


def entries(folder):
    """Return the modules and folders of a room, with a star behind those that are pure."""
    modules = [it for it in folder.rglob("*.py") if not it.stem.startswith("__")]
    below = {it.relative_to(folder).parts[0] for it in modules}
    for name in sorted(below):
        within = [it for it in modules if it.relative_to(folder).parts[0] == name]
        dotted = {".".join(it.relative_to(PACKAGE).with_suffix("").parts) for it in within}
        star = "*" if dotted <= set(PURE_MODULES) else ""
        yield f"{name.removesuffix('.py')}{'' if name.endswith('.py') else '/'}{star}"


def test_the_architecture_lists_every_room_and_module():
    """Each module in its room, with a star if it is pure; of folders within rooms, the names."""
    [tree] = re.findall(r"^prefect_qsession/\n(.*?)^flows/", ARCHITECTURE, re.DOTALL | re.MULTILINE)
    listed: dict[str, list[str]] = {}
    for line in tree.splitlines():
        first, *others = line.split()
        if line.startswith("    "):
            list(listed.values())[-1].extend([first, *others])
        else:
            listed[first if first.endswith("/") else ""] = []
    rooms = {f"{it.parent.name}/": it.parent for it in PACKAGE.glob("*/__init__.py")}
    there = {room: sorted(entries(folder)) for room, folder in rooms.items()}
    there[""] = sorted(it for it in entries(PACKAGE) if "/" not in it)

    assert there == {room: sorted(names) for room, names in listed.items()}


OURS = ARCHITECTURE.partition("## Names that are not public")[0]
PATHS = re.findall(r"`([a-z_]+(?:[/.][a-z_A-Z]+)+)`", OURS)


@pytest.mark.parametrize("path", sorted(set(PATHS)))
def test_what_the_architecture_names_is_there(path):
    """A file or folder of the repository, or what stands in a module of the package."""
    if (ROOT / path).exists():
        return
    module, _, name = path.partition(".")
    if name in ("py", "md"):
        assert (PACKAGE / path).exists()
    else:
        thing = found(module.replace("/", "."))
        assert not name or hasattr(thing, name)


def test_every_class_that_the_architecture_names_is_there():
    """Those of the package, under the names that they have now."""
    names = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", OURS))

    assert names
    assert set() == names - CLASSES.keys()


TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}


def test_what_guards_a_name_that_is_not_public_is_there():
    """Each test, by its name or its file."""
    guards = re.findall(r"`(test_\w+)`", ARCHITECTURE)
    files = re.findall(r"`(tests/[\w/]+\.py)`", ARCHITECTURE)

    assert guards
    assert [] == [name for name in guards if name not in TESTS]
    assert [] == [name for name in files if not (ROOT / name).exists()]


FIRST_CHANGE = CONTRIBUTING.partition("## Your first change")[2].partition("\n## ")[0]
QUOTES = re.findall(r"`([\w/.]+)`:?\n\n   ```\w*\n(.*?)\n   ```", FIRST_CHANGE, re.DOTALL)


def test_the_first_change_quotes_what_it_touches():
    """A test, code, a page and the changelog."""
    assert ["CHANGELOG.md", "docs", "prefect_qsession", "tests"] == sorted(
        {path.partition("/")[0] for path, _ in QUOTES}
    )


@pytest.mark.parametrize(("path", "quote"), QUOTES, ids=[path for path, _ in QUOTES])
def test_the_first_change_is_in_the_files_that_it_names(path, quote):
    """Word for word, if not at the same depth."""
    lines = [line.strip() for line in (ROOT / path).read_text().splitlines()]
    quoted = [line.strip() for line in quote.splitlines() if line.strip() != "..."]

    assert [] == [line for line in quoted if line not in lines]
