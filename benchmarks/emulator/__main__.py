"""
How fast the emulator answers, what it can take, and what memory that needs; see README.md.

    python -m benchmarks.emulator [--quick] [--json] [--keep]
"""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from benchmarks._results import Measured, Options, run
from benchmarks._servers import Service, service
from benchmarks.emulator.bare import Bare, dense_circuit, job_body
from benchmarks.emulator.load import (
    Client,
    bare_client,
    fill,
    jobs_per_second,
    real_client,
    run_clients,
)
from tests.harness.circuits import one_bit
from tests.harness.processes import cpu_seconds, descendants, peak_mib

DENSE_QUBITS = 20
MILLISECONDS = 1000


@dataclass(frozen=True)
class Plan:
    """How much of each is measured."""

    requests: int
    dense_layers: int
    processes: int
    client_jobs_each: int
    bare_jobs_each: int
    sessions: int
    jobs_per_session: int


FULL = Plan(2000, 400, 8, 200, 400, 1000, 100)
QUICK = Plan(200, 60, 2, 20, 40, 20, 100)


def measure(options: Options) -> Measured:
    """Measure one thing after the other, each on an emulator of its own."""
    plan = QUICK if options.quick else FULL
    with service(0.0) as emulator:
        idle = _time_idle(emulator, plan)
        simulating, is_simulating = _time_while_simulating(emulator, plan)
    by_client = _throughput(real_client, plan.processes, plan.client_jobs_each)
    by_bare = _throughput(bare_client, plan.processes, plan.bare_jobs_each)
    memory = _memory(plan)
    figures = {
        "status_ms_median": median(idle),
        "status_ms_median_while_simulating": median(simulating),
        "jobs_per_second": by_client["jobs_per_second"],
        "jobs_per_second_bare": by_bare["jobs_per_second"],
        "memory_mib_1000_sessions": memory["service_peak_mib"] + memory["simulator_peak_mib"],
    }
    return figures, {
        "plan": asdict(plan),
        "status_ms": _spread(idle),
        "status_ms_while_simulating": _spread(simulating),
        "still_simulating_at_the_end": is_simulating,
        "throughput": {"client": by_client, "bare": by_bare},
        "memory": memory,
    }


def _of_both(usage: Callable[[int], float], emulator: Service) -> tuple[float, float]:
    """Return what the service's own process has used so far, and its simulator."""
    return usage(emulator.pid), sum(map(usage, descendants(emulator.pid)))


def _time_idle(emulator: Service, plan: Plan) -> list[float]:
    with closing(Bare(emulator)) as bare:
        job_id = bare.submit(job_body(one_bit()))
        bare.wait_for(job_id)
        _say("status requests")
        return [_status_ms(bare, job_id) for _ in range(plan.requests)]


def _time_while_simulating(emulator: Service, plan: Plan) -> tuple[list[float], bool]:
    """Time requests while a job is computed; tell too whether it was until the last."""
    with closing(Bare(emulator)) as bare:
        job_id = bare.submit(job_body(dense_circuit(DENSE_QUBITS, plan.dense_layers)))
        _say("status requests while a job is simulated")
        times = []
        for _ in range(plan.requests // 10):
            time.sleep(0.01)
            times.append(_status_ms(bare, job_id))
        is_simulating = bare.status(job_id) == "Running"
        if is_simulating:
            bare.ask("POST", f"/jobs/{job_id}/cancel")
        return times, is_simulating


def _status_ms(bare: Bare, job_id: str) -> float:
    began = time.perf_counter()
    bare.ask("GET", f"/jobs/{job_id}?exclude_params=true")
    return (time.perf_counter() - began) * MILLISECONDS


def _throughput(client: Client, processes: int, jobs_each: int) -> dict[str, Any]:
    """Run jobs by many processes; tell what a job cost each side in processor time."""
    with service(0.0) as emulator:
        _say(f"jobs of {processes} processes: {client.__name__}")
        before = _of_both(cpu_seconds, emulator)
        shares = run_clients(client, emulator, processes, jobs_each)
        after = _of_both(cpu_seconds, emulator)
    jobs = sum(share.jobs for share in shares)
    # The service's part has each process's connecting and warming up in it; the clients' has not.
    used = {
        "clients": sum(share.cpu_seconds for share in shares),
        "service": after[0] - before[0],
        "simulator": after[1] - before[1],
    }
    return {
        "jobs_per_second": jobs_per_second(shares),
        "jobs": jobs,
        "cpu_ms_per_job": {who: MILLISECONDS * seconds / jobs for who, seconds in used.items()},
        "shares": [asdict(share) for share in shares],
    }


def _memory(plan: Plan) -> dict[str, Any]:
    with service(0.0) as emulator:
        _say(f"{plan.sessions} sessions with {plan.jobs_per_session} jobs each")
        at_start = peak_mib(emulator.pid)
        began = time.perf_counter()
        jobs = fill(emulator, plan.sessions, plan.jobs_per_session)
        seconds = time.perf_counter() - began
        service_mib, simulator_mib = _of_both(peak_mib, emulator)
    return {
        "jobs": jobs,
        "seconds": seconds,
        "service_peak_mib_at_start": at_start,
        "service_peak_mib": service_mib,
        "simulator_peak_mib": simulator_mib,
    }


def _spread(times: list[float]) -> dict[str, float]:
    cuts = quantiles(times, n=100)
    return {"median": cuts[49], "p95": cuts[94], "p99": cuts[98], "worst": max(times)}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run("emulator", measure, quick="a small part of everything")
