"""
What the client's default Estimator takes to make a job's program, made anew and filled again.

    python -m benchmarks.preparing [--quick] [--json] [--keep]

CPU time before a job of four qubits can be sent, without service and network: the client's way and
ours in turn, with new parameter values each time, on devices of 5 and of 127 qubits. The encoding
that follows is the same for both, and measured beside them.
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
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime.executor_estimator.prepare import prepare
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeSherbrooke
from qiskit_ibm_runtime.options_models import EstimatorOptions
from qiskit_ibm_runtime.quantum_program.converters.converters_2_0 import quantum_program_to_2_0

from benchmarks._results import finish, parser
from prefect_qsession.adapters.gateway.programs import PreparedPrograms

DEVICES = {"5": FakeManilaV2, "127": FakeSherbrooke}
RUNS = 30
QUICK_RUNS = 5
LEARNING = 2
"""Requests until a program is filled."""


def main() -> None:
    """Measure, and print one JSON object last, or a table."""
    options = parser("preparing", f"{QUICK_RUNS} programs of each instead of {RUNS}").parse_args()
    runs = QUICK_RUNS if options.quick else RUNS
    times = {qubits: _measure(device(), runs) for qubits, device in DEVICES.items()}
    figures = {
        f"{what}_ms_{qubits}_qubits": 1000 * median(seconds)
        for qubits, one in times.items()
        for what, seconds in one.items()
    }
    finish({"name": "preparing", "figures": figures, "details": {"seconds": times}}, options)


def _measure(device: Any, runs: int) -> dict[str, list[float]]:
    """Return the seconds of every run of each way."""
    passes = generate_preset_pass_manager(1, device, seed_transpiler=1)
    circuit = passes.run(efficient_su2(4, reps=2))
    operator = SparsePauliOp(["ZZII", "XXII", "IZZI", "IYYI"]).apply_layout(circuit.layout)
    rng = np.random.default_rng(1)
    programs, options = PreparedPrograms(), EstimatorOptions()
    times: dict[str, list[float]] = {"made_anew": [], "filled": [], "encoded": []}

    def timed(what: str, make: Callable[[], Any]) -> Any:
        began = process_time()
        made = make()
        times[what].append(process_time() - began)
        return made

    for number in range(runs + LEARNING):
        pub = EstimatorPub.coerce((circuit, operator, rng.random(circuit.num_parameters)))
        if number < LEARNING:
            programs.fill([pub], options)
            continue
        timed("made_anew", partial(prepare, [pub], options))
        made = timed("filled", partial(programs.fill, [pub], options))
        timed("encoded", partial(quantum_program_to_2_0, made.program, made.options))
    print(f"{device.name}: {runs} programs of each", file=sys.stderr)
    return times


if __name__ == "__main__":
    main()
