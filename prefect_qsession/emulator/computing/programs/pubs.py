"""What the PUBs of the sampler and the estimator have in common."""

from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from prefect_qsession.emulator.computing.programs.decoding import decode_tagged
from prefect_qsession.emulator.computing.programs.failures import JobFailure, not_loadable

MAX_EXECUTIONS = 10_000_000


def read_pubs(params: dict[str, Any], length: int) -> list[list[Any]]:
    """Return the PUBs, each padded with `None` to *length*; the first item is the circuit."""
    raw = params.get("pubs")
    if not isinstance(raw, list) or not raw:
        why = "pubs is not a list of PUBs"
        raise not_loadable(why)
    pubs: list[list[Any]] = decode_tagged(raw)
    for pub in pubs:
        if not isinstance(pub, list) or not 1 <= len(pub) <= length:
            why = f"a PUB is a list of at most {length} items"
            raise not_loadable(why)
        if not isinstance(pub[0], QuantumCircuit):
            why = "a PUB starts with a circuit"
            raise not_loadable(why)
        pub.extend([None] * (length - len(pub)))
    return pubs


def as_values(values: Any) -> np.ndarray:
    """Return parameter values as an array; none at all for a PUB that gives none."""
    return np.asarray([] if values is None else values)


def option(params: dict[str, Any], name: str) -> Any:
    """Return an option, `None` if it is not set."""
    options = params.get("options") or {}
    return options.get(name) if isinstance(options, dict) else None


def checked_executions(executions: int) -> int:
    """Return the number of executions, or fail a job that has too many (job-limits guide)."""
    if executions > MAX_EXECUTIONS:
        raise JobFailure(
            1506,
            f"The job has {executions} executions; the limit is {MAX_EXECUTIONS}.",
            "Submit fewer shots or parameter sets per job.",
        )
    return executions
