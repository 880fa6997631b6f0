"""
The process that is killed: a script that runs a flow, or runs one of its flow runs again.

    python -m benchmarks.resume.script FLOW PARAMETERS [FLOW_RUN_ID]

PARAMETERS is a JSON object. The result is printed last, as JSON. With a FLOW_RUN_ID, the flow run
is begun anew as by the UI's Retry.
"""

import json
import os
import signal
import sys
import time
from typing import Any, Literal
from uuid import UUID

import numpy as np
from prefect import get_client, runtime
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from flows.molecules import hydrogen
from flows.vqe import VQEResult, energy, prepare, vqe
from prefect_qsession import QiskitRuntimeCredentials, estimator, session_flow

PRECISION = 0.01


@session_flow(name="replay")
def replay(evaluations: int, how: Literal["calls", "tasks"] = "calls") -> float:
    """
    Have so many evaluations of H2 done and be killed; begun anew, return how long they then take.

    From the first request to the last result, in seconds. Each is a task, as in `flows.vqe`, or a
    plain call.
    """
    ansatz, operator = prepare(hydrogen(0.75).operator, rotations=4)
    # One parameter: H2 has use for no more.
    points = np.linspace(0.0, 1.0, evaluations).reshape(-1, 1)
    if runtime.flow_run.run_count == 1:
        pubs = [(ansatz, operator, point) for point in points]
        for job in [estimator(legacy=True).run([pub], precision=PRECISION) for pub in pubs]:
            job.result()
        os.kill(os.getpid(), signal.SIGKILL)
    began = time.perf_counter()
    for number, point in enumerate(points, start=1):
        if how == "tasks":
            energy(number, ansatz, operator, point, PRECISION, legacy=True)
        else:
            pub = (ansatz, operator, point)
            estimator(legacy=True).run([pub], precision=PRECISION).result()
    return time.perf_counter() - began


def main() -> None:
    """Do as the command line says."""
    name, parameters, *again = sys.argv[1:]
    flow: Any = {"vqe": vqe, "replay": replay}[name]
    block = os.environ["PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS"]
    QiskitRuntimeCredentials.from_environment().save(block, overwrite=True)
    result: Any
    if again:
        flow_run_id = UUID(again[0])
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run_id, AwaitingRetry(), force=True)
            flow_run = client.read_flow_run(flow_run_id)
        result = run_flow(flow, flow_run=flow_run, parameters=json.loads(parameters))
    else:
        result = flow(**json.loads(parameters))
    if isinstance(result, VQEResult):
        result = [*result.energies, result.energy]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
