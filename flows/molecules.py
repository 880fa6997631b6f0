"""
The operators the VQE flow minimises: molecules from published coefficients, or any from a file.

Energies are in hartree and bond lengths in angstrom. Labels are Qiskit's: the rightmost letter of
`"IIIZ"` acts on qubit 0.

An operator file is JSON:

    {"description": "two spins", "source": "my notes", "terms": {"ZZ": -1.0, "IX": 0.5, "XI": 0.5}}

Only `terms` is required. Coefficients are real numbers: an energy needs a Hermitian operator.
"""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from qiskit.quantum_info import SparsePauliOp
from scipy.interpolate import CubicSpline
from scipy.sparse.linalg import eigsh

from prefect_qsession.exceptions import InvalidOperator

DATA = Path(__file__).parent / "data"
BOHR_ANGSTROM = 0.529177210903  # CODATA 2018; two protons 1 angstrom apart repel by as many hartree
EXACT_QUBITS = 16
_DENSE_QUBITS = 8

Refusal = Callable[[str, str], InvalidOperator]  # what is wrong, what to do


@dataclass(frozen=True)
class Molecule:
    """An operator to minimise, with what it describes and where its numbers come from."""

    name: str
    operator: SparsePauliOp
    description: str
    source: str


def hydrogen(bond_length_angstrom: float) -> Molecule:
    """
    Return H2 in a minimal basis on two qubits, at any bond length from 0.20 to 2.85 angstrom.

    The coefficients are Table 1 of O'Malley et al., Phys. Rev. X 6, 031007 (2016), given every 0.05
    angstrom to four decimals. The identity term contains the nuclear repulsion, so the lowest
    eigenvalue is the total energy. Between two rows the repulsion is computed, and what remains of
    each coefficient follows a cubic spline.

    Over the whole range, on the rows and between them, the energy is within 1.6e-4 hartree of the
    exact one in the STO-6G basis, computed independently in tests/flows/test_molecules.py. STO-3G
    energies lie 0.007 to 0.013 hartree higher and are no reference for this operator.

    Raises:
        InvalidOperator: the bond length lies outside the table.
    """
    labels, spline = _hydrogen_spline()
    length = round(bond_length_angstrom, 9)  # a scan by repeated addition still meets the last row
    if not spline.x[0] <= length <= spline.x[-1]:
        raise InvalidOperator(
            f"H2 at {bond_length_angstrom} angstrom",
            f"the published table runs from {spline.x[0]:.2f} to {spline.x[-1]:.2f} angstrom.",
            "Choose a bond length in that range, or give your own coefficients as a file.",
        )
    coefficients = spline(length)
    coefficients[labels.index("II")] += BOHR_ANGSTROM / length
    return Molecule(
        name="H2",
        operator=SparsePauliOp(labels, coefficients),
        description=f"hydrogen at {length:g} angstrom, STO-6G, Bravyi-Kitaev, 2 qubits",
        source="P. J. J. O'Malley et al., Phys. Rev. X 6, 031007 (2016), Table 1",
    )


def lithium_hydride() -> Molecule:
    """
    Return LiH in the STO-3G basis on four qubits, at 1.545 angstrom.

    The 99 coefficients are those of Kandala et al., Nature 549, 242 (2017), Supplementary
    Information: two electrons stay in the lowest orbital of the one-electron Hamiltonian (Li 1s),
    the Li 2p orbitals across the bond stay empty, and the parity mapping saves two of six qubits.
    Their table has no identity term; the one here was computed for the same model, so that the
    lowest eigenvalue is its total energy, -7.8729 hartree (STO-3G without that freezing: -7.8828).
    """
    return replace(from_file(DATA / "LiH.json"), name="LiH")


def from_file(path: str | Path, max_qubits: int | None = None) -> Molecule:
    """
    Return the operator written in a JSON file, named after the file.

    Args:
        path: the file; its form is shown at the top of this module.
        max_qubits: refuse a larger operator, say one that does not fit the device.

    Raises:
        InvalidOperator: the file cannot be read, or does not hold a real sum of Pauli terms.
    """
    path = Path(path)
    refuse = partial(InvalidOperator, str(path))
    content = _read_json(path, refuse)
    terms = content.get("terms") if isinstance(content, dict) else None
    if not isinstance(terms, dict):
        raise refuse('it has no "terms" object.', 'Write {"terms": {"ZZ": -1.0, "XI": 0.5}}.')
    operator = _operator(terms, refuse)
    qubits = operator.num_qubits
    if max_qubits is not None and qubits > max_qubits:
        raise refuse(
            f"it acts on {qubits} qubits and the limit is {max_qubits}.",
            "Choose a smaller operator or a larger backend.",
        )
    return Molecule(
        name=path.stem,
        operator=operator,
        description=str(content.get("description", f"operator on {qubits} qubits")),
        source=str(content.get("source", path)),
    )


def exact_ground_energy(operator: SparsePauliOp) -> float:
    """
    Return the lowest eigenvalue of a Hermitian operator, in the units of its coefficients.

    Up to 8 qubits the whole matrix is diagonalised, above that the sparse one by Lanczos.

    Raises:
        InvalidOperator: more than 16 qubits, or a complex coefficient.
    """
    operator = operator.simplify()
    refuse = partial(InvalidOperator, f"on {operator.num_qubits} qubits")
    if operator.num_qubits > EXACT_QUBITS:
        raise refuse(
            f"its matrix is too large to diagonalise; the limit is {EXACT_QUBITS} qubits.",
            "Compare with a published energy instead.",
        )
    if np.any(operator.coeffs.imag):
        raise refuse(
            "it has complex coefficients, so its eigenvalues are no energies.",
            "Keep the Hermitian part, (operator + operator.adjoint()) / 2.",
        )
    if operator.num_qubits <= _DENSE_QUBITS:
        return float(np.linalg.eigvalsh(operator.to_matrix())[0])
    if not operator.coeffs.any():
        return 0.0  # the Lanczos method has no start
    start = np.random.default_rng(0).standard_normal(2**operator.num_qubits)  # repeatable
    matrix = operator.to_matrix(sparse=True)
    return float(eigsh(matrix, k=1, which="SA", v0=start, return_eigenvectors=False)[0])


@cache
def _hydrogen_spline() -> tuple[list[str], CubicSpline]:
    rows = json.loads((DATA / "H2.json").read_text(encoding="utf-8"))["table"]
    labels = list(rows[0]["terms"])
    lengths = np.array([row["bond_length_angstrom"] for row in rows])
    coefficients = np.array([[row["terms"][label] for label in labels] for row in rows])
    coefficients[:, labels.index("II")] -= BOHR_ANGSTROM / lengths
    return labels, CubicSpline(lengths, coefficients)


def _read_json(path: Path, refuse: Refusal) -> Any:
    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                raise refuse(f"{key!r} is there {count} times.", "Keep one; add coefficients up.")
        return dict(pairs)

    try:
        text = path.read_text(encoding="utf-8")
        # Integers are read as floats: one of 400 digits becomes infinite and is refused below.
        return json.loads(text, object_pairs_hook=without_duplicates, parse_int=float)
    except OSError as error:
        raise refuse(f"{error.strerror or error}.", "Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise refuse(f"it is not JSON ({error}).", "Run `python -m json.tool` on it.") from error


def _operator(terms: dict[str, Any], refuse: Refusal) -> SparsePauliOp:
    if not terms:
        raise refuse("it has no terms.", "Give at least one Pauli label.")
    first = next(iter(terms))
    for label, value in terms.items():
        if not label or set(label) - set("IXYZ"):
            raise refuse(f"{label!r} is no Pauli label.", "Use the letters I, X, Y and Z only.")
        if len(label) != len(first):
            raise refuse(
                f"{first!r} and {label!r} differ in length.", "Write one letter per qubit."
            )
        if not isinstance(value, float) or not math.isfinite(value):
            raise refuse(
                f"the coefficient of {label!r} is {value!r}, not a finite real number.",
                "Write a plain number: an energy needs a Hermitian operator.",
            )
    return SparsePauliOp.from_list(list(terms.items()))
