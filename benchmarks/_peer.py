"""
The VQE's evaluations by `prefect-qiskit`, in an environment of its own that has nothing of ours.

Run by `benchmarks.peers` with that environment's Python; told what to do as JSON, answers as JSON.
"""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from prefect import flow
from prefect_qiskit.runtime import QuantumRuntime
from prefect_qiskit.vendors.ibm_quantum import IBMQuantumCredentials
from prefect_qiskit.vendors.ibm_quantum.client import IBMQuantumPlatformClient
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager


class Credentials(IBMQuantumCredentials):  # type: ignore[misc]  # it ships no types
    """Its credentials, without the slash that it puts before a path that begins with one."""

    def get_client(self) -> IBMQuantumPlatformClient:
        """Return its client."""
        return IBMQuantumPlatformClient(
            api_key=self.api_key,
            crn=self.crn,
            auth_endpoint_url=str(self.auth_url).rstrip("/"),
            runtime_endpoint_url=str(self.runtime_url),
        )


def main() -> None:
    """Evaluate, and tell when each value had arrived."""
    asked = json.loads(sys.argv[1])
    environment = asked["environment"]
    runtime = QuantumRuntime(
        resource_name=asked["backend"],
        credentials=Credentials(
            api_key=environment["QISKIT_IBM_TOKEN"],
            crn=environment["QISKIT_IBM_INSTANCE"],
            auth_url=environment["IAM_URL"],
            runtime_url=environment["QISKIT_IBM_URL"] + "/",
        ),
        enable_job_analytics=False,
        max_retry=0,
    )
    operator = SparsePauliOp.from_list(asked["operator"])
    passes = generate_preset_pass_manager(
        optimization_level=3, target=runtime.get_target(), seed_transpiler=1
    )
    ansatz = passes.run(efficient_su2(operator.num_qubits, su2_gates=["ry"], reps=1))
    observable = operator.apply_layout(ansatz.layout)

    @flow
    def evaluate() -> list[float]:
        arrivals = []
        for parameters in asked["parameters"]:
            pub = (ansatz, observable, np.asarray(parameters), asked["precision"])
            float(runtime.estimator([pub])[0].data.evs)
            arrivals.append(time.perf_counter())
        return arrivals

    began = time.perf_counter()
    told = {"began": began, "arrivals": evaluate(), "version": version("prefect-qiskit")}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
