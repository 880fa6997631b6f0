"""
The program `estimator`: expectation values of observables.

With shots, as on a QPU: the Pauli terms are put into groups that commute qubit by qubit, each group
is measured with `ceil(1 / precision**2)` shots, values are means over the shots and standard
errors come from their sample variance. Without noise: the exact expectation value, and zero.
"""

import json
import math
from typing import Any

import numpy as np
from qiskit.primitives.containers import DataBin, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit_ibm_runtime import RuntimeEncoder

from prefect_qsession.emulator.computing.programs.circuits import (
    DeviceFacts,
    restricted_to,
    used_qubits,
)
from prefect_qsession.emulator.computing.programs.expectation import (
    exact_values,
    measured_values,
    measurement_groups,
    terms_on,
)
from prefect_qsession.emulator.computing.programs.failures import not_loadable
from prefect_qsession.emulator.computing.programs.pubs import (
    as_values,
    checked_executions,
    option,
    read_pubs,
)
from prefect_qsession.emulator.rules.simulation import Outcome

# 4096 shots per group of terms.
DEFAULT_PRECISION = 0.015625


def run_estimator(params: dict[str, Any], facts: DeviceFacts, seed: int, *, exact: bool) -> Outcome:
    """Estimate every PUB, exactly or with the shot noise its precision asks for."""
    default_precision = _default_precision(params)
    pubs = [_pub(raw, facts, default_precision) for raw in read_pubs(params, 4)]
    executions = 0
    results = []
    for number, pub in enumerate(pubs):
        result, pub_executions = _run_pub(pub, seed + number, exact=exact)
        executions += pub_executions
        results.append(result)
    body = json.dumps(PrimitiveResult(results, {"version": 2}), cls=RuntimeEncoder)
    return Outcome(result=body.encode(), executions=checked_executions(executions))


def _default_precision(params: dict[str, Any]) -> float:
    shots = option(params, "default_shots")
    if shots:
        return 1 / math.sqrt(shots)
    return option(params, "default_precision") or DEFAULT_PRECISION


def _pub(raw: list[Any], facts: DeviceFacts, default_precision: float) -> EstimatorPub:
    circuit, observables, values, precision = raw
    facts.check(circuit)
    try:
        return EstimatorPub.coerce(
            (circuit, observables, as_values(values), precision), default_precision
        )
    except Exception as error:  # observables raise whatever their parts raise
        raise not_loadable(str(error)) from error


def _run_pub(pub: EstimatorPub, seed: int, *, exact: bool) -> tuple[PubResult, int]:
    if not pub.precision > 0:
        why = f"precision must be positive, not {pub.precision}"
        raise not_loadable(why)
    shots = math.ceil(round(1 / pub.precision**2, 6))
    used = used_qubits(pub.circuit) or [0]
    circuit = restricted_to(pub.circuit, used)
    bindings = pub.parameter_values.as_array(pub.circuit.parameters)
    flat_bindings = bindings.reshape(math.prod(bindings.shape[:-1]), bindings.shape[-1])
    which_binding = np.arange(len(flat_bindings)).reshape(bindings.shape[:-1])
    which_binding, observables = np.broadcast_arrays(which_binding, np.asarray(pub.observables))
    terms = [terms_on(observable, used) for observable in observables.ravel()]
    which = [int(i) for i in which_binding.ravel()]
    groups = measurement_groups(terms, which)
    executions = checked_executions(shots * sum(len(g.bases) * len(g.bindings) for g in groups))
    if exact:
        values, errors = exact_values(circuit, flat_bindings, terms, which, seed)
    else:
        rng = np.random.default_rng(seed)
        values, errors = measured_values(
            circuit, flat_bindings, terms, groups, shots=shots, rng=rng
        )
    # Results of a single value stay arrays without dimensions: plain numbers would not decode.
    evs = np.asarray(values).reshape(pub.shape)
    stds = np.asarray(errors).reshape(pub.shape)
    data = DataBin(evs=evs, stds=stds, ensemble_standard_error=stds.copy(), shape=pub.shape)
    metadata = {
        "shots": shots,
        "target_precision": pub.precision,
        "circuit_metadata": pub.circuit.metadata,
        "resilience": {},
        "num_randomizations": 1,
    }
    return PubResult(data, metadata), executions
