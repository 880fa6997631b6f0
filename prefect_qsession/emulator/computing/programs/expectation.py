"""Expectation values of Pauli sums in the state a circuit prepares."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.quantum_info import SparseObservable, SparsePauliOp

from prefect_qsession.emulator.computing.programs.sampling import run_rows, sample

# A Pauli term: its letters by qubit, without the identities.
Term = tuple[tuple[int, str], ...]
Terms = dict[Term, float]
Values = tuple[list[float], list[float]]


def terms_on(observable: Mapping[str, float], used: Sequence[int]) -> Terms:
    """
    Write an observable as Pauli terms on the qubits in *used*, renumbered.

    The other qubits are idle, in state zero: Z gives 1 there, X and Y give 0.
    """
    place = {qubit: k for k, qubit in enumerate(used)}
    operator = SparseObservable.from_list(list(observable.items())).as_paulis()
    terms: Terms = defaultdict(float)
    for letters, qubits, coefficient in operator.to_sparse_list():
        pairs = list(zip(qubits, letters, strict=True))
        if all(letter == "Z" or qubit in place for qubit, letter in pairs):
            kept = tuple(sorted((place[q], letter) for q, letter in pairs if q in place))
            terms[kept] += coefficient.real
    return dict(terms)


@dataclass
class MeasurementGroup:
    """
    Observables measured in the same states, and the bases that measure all their terms.

    *wanted* pairs the number of a value with its number of parameter binding; a basis is the letter
    to measure by qubit, and lists the terms it measures.
    """

    bindings: list[int]
    wanted: list[tuple[int, int]] = field(default_factory=list)
    bases: list[tuple[dict[int, str], list[Term]]] = field(default_factory=list)


def measurement_groups(terms: Sequence[Terms], which: Sequence[int]) -> list[MeasurementGroup]:
    """Group the values by what is asked of each parameter binding, and the terms by basis."""
    asked: dict[int, list[int]] = defaultdict(list)
    for value, binding in enumerate(which):
        asked[binding].append(value)
    groups: dict[frozenset[Term], MeasurementGroup] = {}
    for binding, values in asked.items():
        union = frozenset(term for value in values for term in terms[value] if term)
        group = groups.setdefault(union, MeasurementGroup(bindings=[], bases=_bases(union)))
        group.bindings.append(binding)
        group.wanted.extend((value, binding) for value in values)
    return list(groups.values())


def _bases(terms: frozenset[Term]) -> list[tuple[dict[int, str], list[Term]]]:
    """Put terms that commute qubit by qubit together, the longest first."""
    bases: list[tuple[dict[int, str], list[Term]]] = []
    for term in sorted(terms, key=lambda term: (-len(term), term)):
        for letters, members in bases:
            if all(letters.get(qubit, letter) == letter for qubit, letter in term):
                letters.update(term)
                members.append(term)
                break
        else:
            bases.append((dict(term), [term]))
    return bases


def exact_values(
    circuit: QuantumCircuit,
    bindings: np.ndarray,
    terms: Sequence[Terms],
    which: Sequence[int],
    seed: int,
) -> Values:
    """Return exact expectation values, and zeros for their standard errors."""
    union = sorted({term for observable in terms for term in observable if term})
    values: dict[tuple[int, Term], float] = {(b, ()): 1.0 for b in range(len(bindings))}
    if union:
        measured = circuit.copy()
        for number, term in enumerate(union):
            qubits = [qubit for qubit, _ in term]
            pauli = SparsePauliOp("".join(letter for _, letter in reversed(term)))
            measured.save_expectation_value(pauli, qubits, label=f"term{number}")
        result = run_rows(measured, bindings, shots=1, seed=seed)
        for binding in range(len(bindings)):
            data = result.data(binding)
            for number, term in enumerate(union):
                values[binding, term] = data[f"term{number}"]
    sums = [
        sum(coefficient * values[binding, term] for term, coefficient in observable.items())
        for observable, binding in zip(terms, which, strict=True)
    ]
    return sums, [0.0] * len(sums)


def measured_values(
    circuit: QuantumCircuit,
    bindings: np.ndarray,
    terms: Sequence[Terms],
    groups: Sequence[MeasurementGroup],
    *,
    shots: int,
    rng: np.random.Generator,
) -> Values:
    """Return means over shots, and their standard errors."""
    means = np.array([observable.get((), 0.0) for observable in terms])
    variances = np.zeros(len(terms))
    for group in groups:
        place = {binding: k for k, binding in enumerate(group.bindings)}
        rows = bindings[group.bindings]
        for letters, members in group.bases:
            bits = sample(_measured_in(circuit, letters), rows, shots, rng)
            parities = _parities(bits[..., circuit.num_clbits :], letters, members)
            for value, binding in group.wanted:
                coefficients = np.array([terms[value].get(term, 0.0) for term in members])
                per_shot = coefficients @ parities[:, place[binding]]
                means[value] += per_shot.mean()
                variances[value] += per_shot.var(ddof=1) / shots if shots > 1 else 0.0
    return list(means), list(np.sqrt(variances))


def _measured_in(circuit: QuantumCircuit, letters: Mapping[int, str]) -> QuantumCircuit:
    """Return the circuit with the qubits in *letters* measured in those bases, in order."""
    register = ClassicalRegister(len(letters), "basis")
    measured = circuit.copy()
    measured.add_register(register)
    for bit, (qubit, letter) in enumerate(sorted(letters.items())):
        if letter == "Y":
            measured.sdg(qubit)
        if letter in "XY":
            measured.h(qubit)
        measured.measure(qubit, register[bit])
    return measured


def _parities(bits: np.ndarray, letters: Mapping[int, str], members: Sequence[Term]) -> np.ndarray:
    """Return the sign of each term in each shot: terms, rows, shots."""
    bit_of = {qubit: bit for bit, qubit in enumerate(sorted(letters))}
    columns = [[bit_of[qubit] for qubit, _ in term] for term in members]
    return np.array([1.0 - 2.0 * (bits[..., c].sum(axis=-1) & 1) for c in columns])
