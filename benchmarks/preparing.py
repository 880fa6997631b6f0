"""
What it takes to make a job of the client's default primitives; see README.md.

    python -m benchmarks.preparing [--quick] [--json] [--keep]
"""

import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from qiskit.circuit.library import efficient_su2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import Executor
from qiskit_ibm_runtime.executor_estimator.prepare import prepare as prepare_estimator
from qiskit_ibm_runtime.executor_sampler.prepare import prepare as prepare_sampler
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeSherbrooke
from qiskit_ibm_runtime.options_models import EstimatorOptions, SamplerOptions
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

from benchmarks._results import Measured, Options, run
from prefect_qsession.ibm.encodings import EncodedExecutor
from prefect_qsession.ibm.programs import PreparedPrograms

DEVICES = {"5": FakeManilaV2, "127": FakeSherbrooke}
PRIMITIVES = {
    "estimator": (prepare_estimator, EstimatorOptions()),
    "sampler": (prepare_sampler, SamplerOptions()),
}
RUNS = 30
QUICK_RUNS = 5
LEARNING = 2
"""Requests until a program is filled."""

Seconds = dict[str, list[float]]


def measure(options: Options) -> Measured:
    """Measure every kind of job on every device."""
    runs = QUICK_RUNS if options.quick else RUNS
    times: dict[str, Seconds] = {}
    for qubits, device in DEVICES.items():
        circuit, operator = _circuit(device())
        for kind in PRIMITIVES:
            times[f"{kind}_{qubits}_qubits"] = _measure(kind, circuit, operator, runs)
            print(f"{kind} on {qubits} qubits: {runs} jobs each way", file=sys.stderr)
    figures = {
        f"{way}_ms_{what}": 1000 * median(seconds)
        for what, one in times.items()
        for way, seconds in one.items()
    }
    return figures, {"seconds": times}


def _circuit(device: Any) -> tuple[Any, Any]:
    passes = generate_preset_pass_manager(1, device, seed_transpiler=1)
    circuit = passes.run(efficient_su2(4, reps=2))
    operator = SparsePauliOp(["ZZII", "XXII", "IZZI", "IYYI"])
    return circuit, operator.apply_layout(circuit.layout)


def _measure(kind: str, circuit: Any, operator: Any, runs: int) -> Seconds:
    """Return the seconds of every run of each way."""
    prepare, options = PRIMITIVES[kind]
    programs = PreparedPrograms()
    ways: dict[str, tuple[Any, Callable[[Any], Any]]] = {
        "client": (Executor, lambda pubs: prepare(pubs, options)),
        "ours": (EncodedExecutor, partial(_filled, programs, kind, options)),
    }
    measured = circuit.measure_all(inplace=False)
    rng = np.random.default_rng(1)
    times: Seconds = {way: [] for way in ways}
    for number in range(runs + LEARNING):
        values = rng.random(circuit.num_parameters)
        if kind == "sampler":
            pub: Any = SamplerPub.coerce((measured, values))
        else:
            pub = EstimatorPub.coerce((circuit, operator, values))
        if number < LEARNING:
            programs.fill(kind, [pub], options)
            continue
        for way, (executor, make) in ways.items():
            began = process_time()
            _encode(executor, *make([pub]))
            times[way].append(process_time() - began)
    return times


def _filled(programs: PreparedPrograms, kind: str, options: Any, pubs: Any) -> tuple[Any, Any]:
    ready = programs.fill(kind, pubs, options)
    if ready is None:
        raise SystemExit(f"No program of the {kind} is filled again with this client.")
    return ready.program, ready.options


def _encode(executor: Any, program: Any, options: Any) -> Any:
    """Return what this executor puts into a request, made as it makes it."""
    converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[executor._SCHEMA_VERSION]  # noqa: SLF001
    return converter.encoder(program, options).model_dump(mode="json")


if __name__ == "__main__":
    run("preparing", measure, quick=f"{QUICK_RUNS} jobs of each instead of {RUNS}")
