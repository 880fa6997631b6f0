"""The door to the client: everything half public goes through it, and is what it is taken for."""

import ast
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import qiskit_ibm_runtime
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeTorino
from requests import Session

from prefect_qsession.config.tested import NEWEST_TESTED_CLIENT, is_newer
from prefect_qsession.ibm import internals
from prefect_qsession.ibm.access import regional
from prefect_qsession.ibm.isa import foreign_in

PACKAGE = Path(__file__).parents[2] / "prefect_qsession"
DOOR = PACKAGE / "ibm" / "internals.py"
OUTSIDE = {PACKAGE / "emulator"}
"""The service, which shares no code with the rest, and is judged by the real client."""

PUBLIC = {
    "qiskit_ibm_runtime",
    "qiskit_ibm_runtime.exceptions",
    "qiskit_ibm_runtime.executor_estimator",
    "qiskit_ibm_runtime.executor_sampler",
    "qiskit_ibm_runtime.models",
    "qiskit_ibm_runtime.options",
    "qiskit_ibm_runtime.options_models",
    "samplomatic",
    "samplomatic.annotations",
    "samplomatic.quantum_program",
    "samplomatic.samplex",
}
"""The modules that have a page in their package's API reference."""

FILES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != DOOR and not OUTSIDE & set(path.parents)
]
IDS = [str(path.relative_to(PACKAGE)) for path in FILES]

visible = pytest.mark.skipif(internals.are_hidden, reason="the names are hidden")


def imported(tree):
    """Yield each module of the client's that is imported from, with the name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield str(node.module), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""


def asked_for(tree):
    """Yield each private name that is asked of an object, by a dot or by `getattr`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name("self" | "cls")):
                pass
            case ast.Attribute(attr=name):
                yield name
            case ast.Call(
                func=ast.Name("getattr" | "setattr" | "hasattr" | "delattr"),
                args=[_, ast.Constant(str(name)), *_],
            ):
                yield name


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_only_the_door_imports_what_is_half_public(path):
    """From the client and its companions: what their API references have, from where they do."""
    names = [
        (module, name)
        for module, name in imported(ast.parse(path.read_text()))
        if module.split(".")[0] in ("qiskit_ibm_runtime", "samplomatic", "ibm_quantum_schemas")
    ]

    assert [] == [it for it in names if it[0] not in PUBLIC or it[1].startswith("_")]


@pytest.mark.parametrize("path", [it for it in FILES if DOOR.parent in it.parents], ids=str)
def test_only_the_door_asks_the_clients_objects_for_private_names(path):
    """Whatever is private here is our own: of `self`, or of a class beside."""
    tree = ast.parse(path.read_text())
    own = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    names = {name for name in asked_for(tree) if name.startswith("_") and name[1] != "_"}

    assert set() == names - own


@visible
def test_nothing_behind_the_door_is_missing():
    """In every version of the client that was tested."""
    assert internals.makes_programs("estimator")
    assert internals.makes_programs("sampler")
    assert internals.CONVERTER is not None
    assert {"estimator", "sampler"} == set(internals.LEGACY)
    assert ["UnsetType"] == [it.__name__ for it in internals.UNSET]


HIDDEN = """
from prefect_qsession.ibm import internals
assert internals.are_hidden
assert not internals.makes_programs("estimator")
assert not internals.makes_programs("sampler")
assert internals.CONVERTER is None
assert internals.executor_with(None) is internals.Executor
assert internals.senders(None) == {}
assert internals.samplex_content(None) is None
assert set(internals.LEGACY) == {"estimator", "sampler"}
"""


@pytest.mark.parametrize("value", ["1", "true"])
def test_a_variable_of_the_environment_hides_all_of_it(value):
    """What is public stays, the legacy primitives included."""
    subprocess.run(
        [sys.executable, "-c", HIDDEN],
        env=os.environ | {internals.PUBLIC_NAMES_ONLY: value, "PYTHONPATH": str(PACKAGE.parent)},
        check=True,
    )


class OtherClient:
    """What sends requests, in a version of the client that keeps it elsewhere."""


def test_what_cannot_be_equipped_is_left_to_the_client():
    """And told, once in a process."""

    class OtherService:
        _api_clients = {"crn:": OtherClient()}  # noqa: RUF012

    class Known(OtherClient):
        _session, _instance = Session(), "crn:"

    assert {} == internals.senders(OtherService())
    OtherService._api_clients = {"crn:": Known()}
    assert internals.are_hidden or {"crn:": Known._session} == internals.senders(OtherService())


DEVICES = [FakeManilaV2().target, FakeTorino().target]
ANGLES = [-0.1, 0.0, 1.0, np.pi / 2, np.pi / 2 + 1e-11, 2.0]


@st.composite
def circuits(draw):
    """Return circuits of which a device may have all, or lack some, also inside a branch."""
    circuit = QuantumCircuit(draw(st.sampled_from([2, 5, 6])), 1)
    two = st.lists(st.integers(0, circuit.num_qubits - 1), min_size=2, max_size=2, unique=True)
    for _ in range(draw(st.integers(0, 4))):
        target, (one, other) = circuit, draw(two)
        inside = draw(st.booleans())
        if inside:
            target, (one, other) = QuantumCircuit(2, 1), (0, 1)
        match draw(st.sampled_from(["x", "h", "cx", "cz", "rzz", "barrier", "measure"])):
            case "rzz":
                target.rzz(draw(st.sampled_from(ANGLES)), one, other)
            case "measure":
                target.measure(one, 0)
            case "x" | "h" as name:
                getattr(target, name)(one)
            case name:
                getattr(target, name)(one, other)
        if inside:
            circuit.if_test((circuit.clbits[0], 1), target, draw(two), [0])
    return circuit


@pytest.mark.parametrize("target", DEVICES, ids=["manila", "torino"])
@settings(deadline=None)
@given(circuit=circuits())
def test_a_circuit_is_isa_if_the_client_says_so(target, circuit):
    """By public names, and by the same rule as that of the client's legacy primitives."""
    utils = pytest.importorskip("qiskit_ibm_runtime.utils.utils")

    assert bool(utils.is_isa_circuit(circuit, target)) == bool(foreign_in(circuit, target))


@pytest.mark.parametrize("region", ["us-east", "eu-de", "jp-tok"])
def test_an_instance_has_the_address_that_the_client_would_take(region):
    """The rule that IBM documents is the client's."""
    utils = pytest.importorskip("qiskit_ibm_runtime.api.utils")
    crn = f"crn:v1:bluemix:public:quantum-computing:{region}:a/0:1::"
    asked = ("https://cloud.ibm.com", crn, False, "ibm_quantum_platform")

    assert utils.default_runtime_url_resolver(*asked) == regional(*asked)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [("0.50.0", False), ("0.51.0", False), ("0.51.9", False), ("0.52.0rc1", True), ("1.0", True)],
)
def test_a_patch_of_a_tested_version_is_no_newer_one(installed, expected):
    """A minor version is, and a candidate of it."""
    assert expected == is_newer(installed, "0.51")


def test_a_client_that_is_newer_than_the_tested_ones_is_told_of(caplog):
    """And no other is."""
    with caplog.at_level(logging.WARNING):
        internals.tell_if_untested.__wrapped__()

    newer = is_newer(qiskit_ibm_runtime.__version__, NEWEST_TESTED_CLIENT)
    assert newer == any(NEWEST_TESTED_CLIENT in record.message for record in caplog.records)
