"""Many clients at once, each a process of its own."""

import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

from benchmarks._servers import Service
from benchmarks.emulator.bare import BACKEND, Bare, job_body
from tests.harness.circuits import one_bit

AT_ONCE = 20
"""So many jobs are submitted before the first result is asked for."""

_state: dict[str, Barrier] = {}


@dataclass(frozen=True)
class Share:
    """What one client did: from when to when, and what that cost its own process."""

    began: float
    ended: float
    jobs: int
    cpu_seconds: float


Client = Callable[[Service, int], Share]


def run_clients(client: Client, service: Service, processes: int, jobs_each: int) -> list[Share]:
    """Have so many processes begin at the same moment, and return what each did."""
    context = get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin, initargs=(barrier,)
    ) as pool:
        shares = [pool.submit(client, service, jobs_each) for _ in range(processes)]
        return [share.result() for share in shares]


def jobs_per_second(shares: list[Share]) -> float:
    """Return how many jobs they got through in a second, all together."""
    seconds = max(share.ended for share in shares) - min(share.began for share in shares)
    return sum(share.jobs for share in shares) / seconds


def real_client(service: Service, jobs: int) -> Share:
    """Run jobs by `qiskit_ibm_runtime`, some at a time, in a batch: sessions exclude each other."""
    os.environ |= service.environment | {"USAGE_DATA_OPT_OUT": "True"}
    warnings.simplefilter("ignore", DeprecationWarning)
    # Not at the top: the others need no client.
    from qiskit_ibm_runtime import Batch, QiskitRuntimeService, SamplerV2  # noqa: PLC0415

    backend = QiskitRuntimeService().backend(BACKEND)
    circuit = one_bit()
    with Batch(backend) as batch:
        sampler = SamplerV2(batch, options={"default_shots": 100})

        def run(count: int) -> None:
            for job in [sampler.run([circuit]) for _ in range(count)]:
                job.result()

        return _timed(run, jobs)


def bare_client(service: Service, jobs: int) -> Share:
    """Send the requests that the client sends for a job, and make nothing of the answers."""
    with closing(Bare(service)) as bare:
        session_id = bare.open_session("batch")
        body = job_body(one_bit(), session_id)

        def run(count: int) -> None:
            job_ids = []
            for _ in range(count):
                bare.ask("GET", "/instances/usage")
                bare.ask("GET", f"/backends/{BACKEND}/status")
                job_ids.append(bare.submit(body))
            for job_id in job_ids:
                bare.wait_for(job_id)
                bare.ask("GET", f"/jobs/{job_id}/results")

        share = _timed(run, jobs)
        bare.close_session(session_id)
        return share


def fill(service: Service, sessions: int, jobs_each: int) -> int:
    """Open and close so many sessions one after the other, each with so many jobs."""
    with closing(Bare(service)) as bare:
        for _ in range(sessions):
            session_id = bare.open_session()
            body = job_body(one_bit(), session_id)
            for _ in range(jobs_each - 1):
                bare.submit(body)
            last = bare.submit(body)
            bare.close_session(session_id)
            bare.wait_for(last)
    return sessions * jobs_each


def _begin(barrier: Barrier) -> None:
    _state["barrier"] = barrier


def _timed(run: Callable[[int], None], jobs: int) -> Share:
    run(AT_ONCE)
    _state["barrier"].wait()
    began, cpu_began = time.time(), time.process_time()
    for _ in range(jobs // AT_ONCE):
        run(AT_ONCE)
    cpu_seconds = time.process_time() - cpu_began
    return Share(began, time.time(), jobs // AT_ONCE * AT_ONCE, cpu_seconds)
