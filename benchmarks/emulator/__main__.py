"""
How fast the emulator answers, what it can take, and what memory that needs.

    python -m benchmarks.emulator [--quick] [--json] [--keep]

The emulator is a process of its own, with QPUs that take no time. Status requests are timed from
outside, on a connection that is kept open. Eight processes run jobs of an instant program, by the
unmodified client and, to see the emulator's own limit, by bare HTTP requests of the same kind. One
run then has many sessions and jobs, and the peak of the memory is read.
"""

import os
import sys
import time
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from benchmarks import _results
from benchmarks.emulator.bare import Bare, dense_circuit, instant_circuit, job_body
from benchmarks.emulator.load import (
    Client,
    Share,
    bare_client,
    fill,
    jobs_per_second,
    real_client,
    run_clients,
)
from benchmarks.emulator.serving import Served, Usage, served

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


def main() -> None:
    """Measure, and print one JSON object last, or the figures alone as a table."""
    options = _results.parser("emulator", "a small part of everything").parse_args()
    _results.finish(measure(QUICK if options.quick else FULL), options)


def measure(plan: Plan) -> dict[str, Any]:
    """Measure one thing after the other, each on an emulator of its own, and return the report."""
    load, _, _ = os.getloadavg()
    with served() as emulator:
        idle = _time_idle(emulator, plan)
        simulating, is_simulating = _time_while_simulating(emulator, plan)
    by_client = _throughput(real_client, plan.processes, plan.client_jobs_each)
    by_bare = _throughput(bare_client, plan.processes, plan.bare_jobs_each)
    memory = _memory(plan)
    return {
        "name": "emulator",
        "figures": {
            "status_ms_median": median(idle),
            "status_ms_median_while_simulating": median(simulating),
            "jobs_per_second": by_client["jobs_per_second"],
            "jobs_per_second_bare": by_bare["jobs_per_second"],
            "memory_mib_1000_sessions": memory["service_peak_mib"] + memory["simulator_peak_mib"],
        },
        "details": {
            "plan": asdict(plan),
            "status_ms": _spread(idle),
            "status_ms_while_simulating": _spread(simulating),
            "still_simulating_at_the_end": is_simulating,
            "throughput": {"client": by_client, "bare": by_bare},
            "memory": memory,
            "load_average_at_start": load,
        },
    }


def _time_idle(emulator: Served, plan: Plan) -> list[float]:
    with Bare(emulator) as bare:
        job_id = bare.submit(job_body(instant_circuit()))
        bare.wait_for(job_id)
        _say("status requests")
        return [_status_ms(bare, job_id) for _ in range(plan.requests)]


def _time_while_simulating(emulator: Served, plan: Plan) -> tuple[list[float], bool]:
    """Time requests while a job is computed; tell too whether it was until the last."""
    with Bare(emulator) as bare:
        job_id = bare.submit(job_body(dense_circuit(DENSE_QUBITS, plan.dense_layers)))
        _say("status requests while a job is simulated")
        times = []
        for _ in range(plan.requests // 10):
            time.sleep(0.01)
            times.append(_status_ms(bare, job_id))
        is_simulating = bare.status(job_id) == "Running"
        bare.ask("POST" if is_simulating else "GET", _end_of(job_id, is_simulating=is_simulating))
        return times, is_simulating


def _end_of(job_id: str, *, is_simulating: bool) -> str:
    return f"/jobs/{job_id}/cancel" if is_simulating else f"/jobs/{job_id}/results"


def _status_ms(bare: Bare, job_id: str) -> float:
    began = time.perf_counter()
    bare.ask("GET", f"/jobs/{job_id}?exclude_params=true")
    return (time.perf_counter() - began) * MILLISECONDS


def _throughput(client: Client, processes: int, jobs_each: int) -> dict[str, Any]:
    """Run jobs by many processes; tell what a job cost each side in processor time."""
    with served() as emulator:
        _say(f"jobs of {processes} processes: {client.__name__}")
        before = emulator.usage()
        shares = run_clients(client, emulator, processes, jobs_each)
        after = emulator.usage()
    return {
        "jobs_per_second": jobs_per_second(shares),
        "jobs": sum(share.jobs for share in shares),
        "cpu_ms_per_job": _cpu_ms_per_job(shares, before, after),
        "shares": [asdict(share) for share in shares],
    }


def _cpu_ms_per_job(shares: list[Share], before: Usage, after: Usage) -> dict[str, float]:
    # The service's part has each process's connecting and warming up in it; the clients' has not.
    jobs = sum(share.jobs for share in shares)
    service = after.service_cpu_seconds - before.service_cpu_seconds
    simulator = after.simulator_cpu_seconds - before.simulator_cpu_seconds
    clients = sum(share.cpu_seconds for share in shares)
    return {
        "clients": clients / jobs * MILLISECONDS,
        "service": service / jobs * MILLISECONDS,
        "simulator": simulator / jobs * MILLISECONDS,
    }


def _memory(plan: Plan) -> dict[str, Any]:
    with served() as emulator:
        _say(f"{plan.sessions} sessions with {plan.jobs_per_session} jobs each")
        at_start = emulator.usage()
        began = time.perf_counter()
        jobs = fill(emulator, plan.sessions, plan.jobs_per_session)
        seconds = time.perf_counter() - began
        at_end = emulator.usage()
    return {
        "jobs": jobs,
        "seconds": seconds,
        "service_peak_mib_at_start": at_start.service_peak_mib,
        "service_peak_mib": at_end.service_peak_mib,
        "simulator_peak_mib": at_end.simulator_peak_mib,
    }


def _spread(times: list[float]) -> dict[str, float]:
    cuts = quantiles(times, n=100)
    return {"median": cuts[49], "p95": cuts[94], "p99": cuts[98], "worst": max(times)}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
