"""The program `sampler`: shots of each circuit, for each set of parameter values."""

import json
from typing import Any

import numpy as np
from qiskit.primitives.containers import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime import RuntimeEncoder

from prefect_qsession.emulator.computing.programs.circuits import DeviceFacts
from prefect_qsession.emulator.computing.programs.failures import not_loadable
from prefect_qsession.emulator.computing.programs.pubs import (
    as_values,
    checked_executions,
    option,
    read_pubs,
)
from prefect_qsession.emulator.computing.programs.sampling import sample_registers
from prefect_qsession.emulator.rules.simulation import Outcome

DEFAULT_SHOTS = 4096


def run_sampler(params: dict[str, Any], facts: DeviceFacts, seed: int) -> Outcome:
    """Sample every PUB; the counts have the shot noise of a real run."""
    default_shots = option(params, "default_shots") or DEFAULT_SHOTS
    pubs = [_pub(raw, facts, default_shots) for raw in read_pubs(params, 3)]
    executions = checked_executions(sum(pub.shots * pub.size for pub in pubs))
    rng = np.random.default_rng(seed)
    results = [_run_pub(pub, rng) for pub in pubs]
    body = json.dumps(PrimitiveResult(results, {"version": 2}), cls=RuntimeEncoder)
    return Outcome(result=body.encode(), executions=executions)


def _run_pub(pub: SamplerPub, rng: np.random.Generator) -> SamplerPubResult:
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    registers = sample_registers(pub.circuit, values, pub.shots, rng)
    fields = {n: BitArray.from_bool_array(b, order="little") for n, b in registers.items()}
    return SamplerPubResult(
        DataBin(**fields, shape=pub.shape), {"circuit_metadata": pub.circuit.metadata}
    )


def _pub(raw: list[Any], facts: DeviceFacts, default_shots: int) -> SamplerPub:
    circuit, values, shots = raw
    facts.check(circuit)
    try:
        return SamplerPub.coerce((circuit, as_values(values), shots), default_shots)
    except (ValueError, TypeError) as error:
        raise not_loadable(str(error)) from error
