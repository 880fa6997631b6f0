"""The VQE operators: their energies against quantum chemistry done here, and every bad input."""

import json
from math import erf, pi, sqrt

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from flows.molecules import exact_ground_energy, from_file, hydrogen, lithium_hydride
from prefect_qsession.exceptions import InvalidOperator

BOHR = 0.529177210903  # angstrom
TABLE = np.linspace(0.20, 2.85, 54).round(2)
STO_6G = [  # hydrogen: exponents, contraction coefficients
    [35.52322122, 6.513143725, 1.822142904, 0.625955266, 0.243076747, 0.100112428],
    [0.00916359628, 0.04936149294, 0.1685383049, 0.3705627997, 0.4164915298, 0.1303340841],
]
BETWEEN = (TABLE[:-1] + 0.025).round(3)

CHAIN = {f"{'I' * i}ZZ{'I' * (9 - i)}": -1.0 for i in range(10)}  # 11 spins in a row


@pytest.fixture
def operator_file(tmp_path):
    """Return a function that writes an operator file and returns its path."""

    def write(content):
        path = tmp_path / "spins.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.mark.parametrize("length", TABLE)
def test_hydrogen_on_a_table_row_has_the_exact_minimal_basis_energy(length):
    """Every row of the table gives the exact STO-6G energy, to the table's four decimals."""
    assert h2_energy_from_first_principles(length) == pytest.approx(energy(length), abs=2e-4)


@pytest.mark.parametrize("length", BETWEEN)
def test_hydrogen_between_two_rows_has_the_exact_minimal_basis_energy(length):
    """Between the rows the interpolation adds nothing to the table's own rounding."""
    assert h2_energy_from_first_principles(length) == pytest.approx(energy(length), abs=2e-4)


def test_hydrogen_on_a_row_has_the_published_coefficients():
    """At 0.75 angstrom the coefficients are the printed ones, Z0 acting on qubit 0."""
    expected = {"II": 0.2252, "IZ": 0.3435, "ZI": -0.4347, "ZZ": 0.5716, "XX": 0.0910, "YY": 0.0910}
    assert expected == pytest.approx(terms(hydrogen(0.75).operator), abs=1e-12)


@pytest.mark.parametrize("length", [0.20, 0.75, 1.30, 2.85])
def test_the_identity_of_hydrogen_contains_the_nuclear_repulsion(length):
    """With both qubits in 0 there is no electron: what remains is the repulsion of the protons."""
    without_electrons = hydrogen(length).operator.to_matrix()[0, 0].real
    assert BOHR / length == pytest.approx(without_electrons, abs=2e-4)


def test_hydrogen_meets_the_last_row_in_spite_of_rounding():
    """A scan by repeated addition ends a hair beyond 2.85 and still finds the row."""
    assert energy(2.85) == energy(2.85 + 4e-16 * 2)


@pytest.mark.parametrize("length", [0.19, 2.86, -1.0, float("nan"), float("inf")])
def test_hydrogen_outside_the_table_is_refused(length):
    """The message names the range the table covers."""
    with pytest.raises(InvalidOperator, match=r"from 0\.20 to 2\.85 angstrom"):
        hydrogen(length)


def test_lithium_hydride_has_the_energy_of_its_model():
    """The total energy is that of the frozen-pair STO-3G model, -7.87285 hartree."""
    assert pytest.approx(-7.872853, abs=1e-5) == exact_ground_energy(lithium_hydride().operator)


def test_lithium_hydride_has_the_published_size():
    """Four qubits; the 99 terms of the table and the identity."""
    operator = lithium_hydride().operator
    expected = 4, 100
    assert expected == (operator.num_qubits, len(operator))


def test_a_file_gives_its_terms_description_and_source(operator_file):
    """What the file says is what the molecule carries, under the file's name."""
    content = {"description": "two spins", "source": "notes", "terms": {"ZZ": -1, "IX": 0.5}}
    molecule = from_file(operator_file(content))
    expected = "spins", "two spins", "notes", {"ZZ": -1.0, "IX": 0.5}
    actual = molecule.name, molecule.description, molecule.source, terms(molecule.operator)
    assert expected == actual


def test_a_file_without_description_and_source_names_itself(operator_file):
    """The two texts may be left out: the size and the path stand in."""
    path = operator_file({"terms": {"ZZ": -1.0}})
    molecule = from_file(str(path))
    assert ("operator on 2 qubits", str(path)) == (molecule.description, molecule.source)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("ZZ: -1", "it is not JSON", id="not JSON"),
        pytest.param("[" * 100_000, "it is not JSON", id="nested too deeply"),
        pytest.param([1, 2], 'it has no "terms"', id="a list"),
        pytest.param({"ZZ": -1.0}, 'it has no "terms"', id="terms at the top"),
        pytest.param({"terms": ["ZZ"]}, 'it has no "terms"', id="terms as a list"),
        pytest.param({"terms": {}}, "it has no terms", id="no terms"),
        pytest.param({"terms": {"": 1.0}}, "'' is no Pauli label", id="empty label"),
        pytest.param({"terms": {"ZA": 1.0}}, "'ZA' is no Pauli label", id="unknown letter"),
        pytest.param({"terms": {"zz": 1.0}}, "'zz' is no Pauli label", id="small letters"),
        pytest.param({"terms": {"ZZ": 1.0, "Z": 1.0}}, "'ZZ' and 'Z' differ", id="two lengths"),
        pytest.param('{"terms": {"ZZ": 1, "ZZ": 2}}', "'ZZ' is there 2 times", id="label twice"),
        pytest.param({"terms": {"ZZ": float("nan")}}, "'ZZ' is nan", id="nan"),
        pytest.param({"terms": {"ZZ": float("inf")}}, "'ZZ' is inf", id="infinite"),
        pytest.param({"terms": {"ZZ": 10**400}}, "'ZZ' is inf", id="too large"),
        pytest.param({"terms": {"ZZ": [0.0, 1.0]}}, r"'ZZ' is \[0.0, 1.0\]", id="complex pair"),
        pytest.param({"terms": {"ZZ": "1j"}}, "'ZZ' is '1j'", id="complex text"),
        pytest.param({"terms": {"ZZ": True}}, "'ZZ' is True", id="boolean"),
        pytest.param({"terms": {"ZZ": None}}, "'ZZ' is None", id="null"),
    ],
)
def test_a_file_that_holds_no_real_operator_is_refused(operator_file, content, problem):
    """The error names the file, and says which label is wrong and how."""
    path = operator_file(content)
    with pytest.raises(InvalidOperator, match=problem) as refused:
        from_file(path)
    assert str(path) == refused.value.source


def test_a_missing_file_is_refused(tmp_path):
    """The error says there is no such file."""
    with pytest.raises(InvalidOperator, match="No such file"):
        from_file(tmp_path / "absent.json")


def test_a_directory_is_refused(tmp_path):
    """The error says what the path is."""
    with pytest.raises(InvalidOperator, match="Is a directory"):
        from_file(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    """Bytes that are no UTF-8 are no JSON."""
    path = tmp_path / "binary.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidOperator, match="it is not JSON"):
        from_file(path)


def test_a_file_larger_than_the_limit_is_refused(operator_file):
    """The error gives both numbers."""
    with pytest.raises(InvalidOperator, match="11 qubits and the limit is 5"):
        from_file(operator_file({"terms": CHAIN}), max_qubits=5)


def test_the_sparse_and_the_dense_ground_energy_agree():
    """Above eight qubits another method takes over: idle qubits added to an operator show both."""
    wide = SparsePauliOp("I" * 8) ^ lithium_hydride().operator
    dense = exact_ground_energy(lithium_hydride().operator)
    assert dense == pytest.approx(exact_ground_energy(wide), abs=1e-9)


def test_a_row_of_spins_has_its_known_ground_energy():
    """Eleven aligned spins with ten bonds of -1 have the energy -10."""
    assert pytest.approx(-10.0, abs=1e-9) == exact_ground_energy(
        SparsePauliOp.from_list(list(CHAIN.items()))
    )


@pytest.mark.parametrize("qubits", [1, 12])
def test_the_identity_has_its_coefficient_as_ground_energy(qubits):
    """The simplest operator works in both methods."""
    assert pytest.approx(-2.5) == exact_ground_energy(SparsePauliOp("I" * qubits, -2.5))


@pytest.mark.parametrize("qubits", [1, 12])
def test_the_zero_operator_has_ground_energy_zero(qubits):
    """Terms that cancel are no reason to fail."""
    assert pytest.approx(0.0) == exact_ground_energy(SparsePauliOp("Z" * qubits, 0.0))


def test_too_many_qubits_for_the_exact_energy_are_refused():
    """Seventeen qubits would need more memory than a laptop has."""
    with pytest.raises(InvalidOperator, match="the limit is 16 qubits"):
        exact_ground_energy(SparsePauliOp("Z" * 17))


def test_a_complex_operator_has_no_ground_energy():
    """A coefficient of i makes the operator non-Hermitian."""
    with pytest.raises(InvalidOperator, match="complex coefficients"):
        exact_ground_energy(SparsePauliOp("Z", 1j))


def energy(length):
    return exact_ground_energy(hydrogen(length).operator)


def terms(operator):
    return {label: coefficient.real for label, coefficient in operator.to_list()}


def h2_energy_from_first_principles(length):
    """
    Return the exact H2 energy in the STO-6G basis from closed-form integrals.

    Twelve Gaussians, six on each proton, are contracted into the bonding and the antibonding
    orbital; the two closed-shell configurations then mix in a 2 x 2 matrix. (Szabo & Ostlund,
    Modern Quantum Chemistry, appendix A, has the integrals.)
    """
    distance = length / BOHR
    a, weight = np.tile(STO_6G, 2)
    weight *= (2 * a / pi) ** 0.75
    x = np.repeat([0.0, distance], 6)

    # Products of two Gaussians are Gaussians: exponent p, centre c, height k.
    p = a[:, None] + a
    c = (a[:, None] * x[:, None] + a * x) / p
    reduced = a[:, None] * a / p
    gap = (x[:, None] - x) ** 2
    k = np.exp(-reduced * gap) * weight[:, None] * weight

    overlap = k * (pi / p) ** 1.5
    kinetic = reduced * (3 - 2 * reduced * gap) * overlap
    attraction = sum(-2 * pi / p * k * boys(p * (c - proton) ** 2) for proton in (0.0, distance))
    p2, c2, k2 = (array[:, :, None, None] for array in (p, c, k))
    repulsion = 2 * pi**2.5 / (p2 * p * np.sqrt(p2 + p)) * k2 * k
    repulsion = repulsion * boys(p2 * p / (p2 + p) * (c2 - c) ** 2)

    orbitals = np.array([[1.0] * 12, [1.0] * 6 + [-1.0] * 6])
    orbitals /= np.sqrt(np.einsum("mi,ij,mj->m", orbitals, overlap, orbitals))[:, None]
    h = np.einsum("mi,ij,mj->m", orbitals, kinetic + attraction, orbitals)
    g = np.einsum("ai,bj,ck,dl,ijkl->abcd", *[orbitals] * 4, repulsion, optimize=True)
    mixing = g[0, 1, 0, 1]
    closed_shells = [[2 * h[0] + g[0, 0, 0, 0], mixing], [mixing, 2 * h[1] + g[1, 1, 1, 1]]]
    return np.linalg.eigvalsh(closed_shells)[0] + 1 / distance


@np.vectorize
def boys(t):
    return 1.0 if t < 1e-12 else 0.5 * sqrt(pi / t) * erf(sqrt(t))
