"""
The program `executor`: circuits, and circuits with a samplex that randomises them.

The client's own primitives of the newer kind (`executor_sampler`, `executor_estimator`) prepare
such programs and evaluate the results on their side.
"""

from typing import Any

import numpy as np
from ibm_quantum_schemas.common import CompressedTensorModel
from ibm_quantum_schemas.executor.version_2_0 import (
    ItemMetadataModel,
    MetadataModel,
    QuantumProgramResultItemModel,
    QuantumProgramResultModel,
)

# Semi-public: the client's local mode draws from a samplex with it. Only this module calls it.
from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample
from qiskit_ibm_runtime.quantum_program import QuantumProgram
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS
from samplomatic.quantum_program import CircuitItem, SamplexItem

from prefect_qsession.emulator.computing.programs.circuits import DeviceFacts
from prefect_qsession.emulator.computing.programs.decoding import check_qpy_version
from prefect_qsession.emulator.computing.programs.failures import by_schema, not_supported
from prefect_qsession.emulator.computing.programs.pubs import checked_executions
from prefect_qsession.emulator.computing.programs.sampling import sample_registers
from prefect_qsession.emulator.rules.simulation import Outcome

SCHEMA_VERSION = "v2.0"
ANGLE_DECIMALS = 5

_QUARTER_TURN = np.pi / 2


def run_executor(params: dict[str, Any], facts: DeviceFacts, seed: int) -> Outcome:
    """Execute every item of the program, with the shot noise of a real run."""
    program = _read_program(params)
    if program.meas_level != "classified":
        raise not_supported(f"measurement level {program.meas_level}")
    for item in program.items:
        facts.check(item.circuit)
    elements = sum(int(np.prod(item.shape, dtype=int)) for item in program.items)
    executions = checked_executions(program.shots * elements)
    rng = np.random.default_rng(seed)
    results = [_execute(item, program.shots, rng) for item in program.items]
    # The client chooses its post-processing by the two values that are sent back untouched.
    model = QuantumProgramResultModel(
        data=[
            QuantumProgramResultItemModel(
                results={name: CompressedTensorModel.from_numpy(a) for name, a in result.items()},
                metadata=ItemMetadataModel(),
            )
            for result in results
        ],
        metadata=MetadataModel(chunk_timing=[]),
        passthrough_data=params["quantum_program"].get("passthrough_data"),
        semantic_role=params["quantum_program"].get("semantic_role"),
    )
    return Outcome(result=model.model_dump_json().encode(), executions=executions)


def _read_program(params: dict[str, Any]) -> QuantumProgram:
    converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[SCHEMA_VERSION]
    with by_schema(params, SCHEMA_VERSION):
        model = converter.model(**params)
        # The schema also allows OpenQASM, which has no version and which no client sends.
        check_qpy_version(getattr(model.quantum_program.circuits, "qpy_version", 0))
        program, _ = converter.decoder(model)
        for item in program.items:
            if isinstance(item, SamplexItem):
                item.samplex.finalize()
    return program


def _execute(
    item: CircuitItem | SamplexItem, shots: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return an item's arrays: what the samplex drew, and the registers that were measured."""
    if isinstance(item, CircuitItem):
        drawn = {}
        values = item.circuit_arguments
    else:
        drawn = broadcast_sample(item.samplex, item.samplex_arguments, item.shape, rng)
        values = drawn.pop("parameter_values", np.empty((*item.shape, 0)))
    # Angles come in single precision: rounding keeps Clifford circuits Clifford, and so simulable.
    angles = np.round(np.asarray(values) / _QUARTER_TURN, ANGLE_DECIMALS) * _QUARTER_TURN
    return {**drawn, **sample_registers(item.circuit, angles, shots, rng)}
