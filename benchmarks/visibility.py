"""
What being seen costs an iteration, on the thread of the flow; see README.md.

    python -m benchmarks.visibility [--quick] [--json] [--keep]
"""

import json
import os
import time
from collections.abc import Collection
from datetime import UTC, datetime
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks._results import Measured, Options, part_of, run
from benchmarks._servers import prefect_server, service
from demo.servers import free_port

ITERATIONS, QUICK_ITERATIONS = 400, 60
QPU_SECONDS = 0.05


def measure(options: Options) -> Measured:
    """Measure iterations with the API, then without."""
    iterations = QUICK_ITERATIONS if options.quick else ITERATIONS
    with prefect_server(), service(0.3) as near:
        os.environ |= near.environment
        costs = _costs(iterations)
    nobody = {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}
    away, finish_seconds = part_of("visibility", iterations, environment=nobody)
    figures = {
        "ms_per_iteration_median": 1000 * median(costs),
        "ms_per_iteration_p95": 1000 * _percentile(costs, 95),
        "ms_per_iteration_worst": 1000 * max(costs),
        "api_away_ms_per_iteration_median": 1000 * median(away),
        "api_away_ms_per_iteration_p95": 1000 * _percentile(away, 95),
        "api_away_finish_seconds": finish_seconds,
        "report_ms": 1000 * _drawing_seconds(iterations),
    }
    return figures, {"iterations": iterations, "seconds": costs, "seconds_api_away": away}


def _costs(iterations: int) -> list[float]:
    """Return what each iteration cost, in a flow run."""
    from prefect import task  # noqa: PLC0415

    from prefect_qsession import QiskitRuntimeCredentials, session_flow, track  # noqa: PLC0415
    from prefect_qsession.session.flow_run_sessions import (  # noqa: PLC0415
        current_flow_run_session,
    )

    @task
    def iterate(number: int) -> float:
        session = current_flow_run_session("An event")
        before, *after = _facts()
        began = time.perf_counter()
        session.emit(before)
        seconds = time.perf_counter() - began
        time.sleep(QPU_SECONDS)
        began = time.perf_counter()
        for fact in after:
            session.emit(fact)
        track(energy=1 / number, gradient=(1 / number, 2.0), iteration=number, total=iterations)
        return seconds + time.perf_counter() - began

    @session_flow(QiskitRuntimeCredentials.from_environment(), backend="ibm_manila")
    def measured() -> list[float]:
        return [iterate(number) for number in range(1, iterations + 1)]

    return measured()


def tell_nobody(iterations: int) -> None:
    """Emit events whose API is gone; print what each iteration cost, and what the end did."""
    from prefect.client.schemas.objects import FlowRun  # noqa: PLC0415
    from prefect.logging.loggers import get_logger  # noqa: PLC0415

    from prefect_qsession.config.modes import Mode  # noqa: PLC0415
    from prefect_qsession.prefect_api.owners import Owner  # noqa: PLC0415
    from prefect_qsession.reporting import run_events as events  # noqa: PLC0415
    from prefect_qsession.reporting.event_emitter import RunEventEmitter  # noqa: PLC0415
    from prefect_qsession.reporting.reporter import Reporter  # noqa: PLC0415

    logger: Any = get_logger("qsession.benchmark")
    owner = Owner(FlowRun(flow_id=uuid4(), name="away"), logger, read_state=lambda: None)
    emitter = RunEventEmitter(lambda: owner, Reporter(_Nothing(), Mode.SESSION, 3600.0))
    costs = []
    for number in range(1, iterations + 1):
        before, *after = _facts()
        began = time.perf_counter()
        for fact in (
            before,
            *after,
            events.TrackedEvent({"energy": 1 / number}, number, iterations),
        ):
            emitter.emit(fact)
        costs.append(time.perf_counter() - began)
        time.sleep(QPU_SECONDS)
    began = time.perf_counter()
    emitter.finish(is_complete=True)
    print(json.dumps([costs, time.perf_counter() - began]), flush=True)
    # Prefect would go on trying to hand in its events.
    os._exit(0)


class _Nothing:
    """A session of which nothing is known."""

    def budgets(self) -> list[Any]:
        return []

    def details(self) -> None:
        return None

    def charges(self, job_ids: Collection[str]) -> dict[str, float]:
        return dict.fromkeys(job_ids, 1.0)


def _facts() -> tuple[Any, Any, Any]:
    """Return what is told of a job, before and after it runs."""
    from prefect_qsession.reporting import run_events as events  # noqa: PLC0415

    job_id = uuid4().hex
    submitted = events.JobSubmittedEvent(job_id, "measured", "estimator")
    return submitted, events.JobRunningEvent(job_id), events.JobCompletedEvent(job_id)


def _drawing_seconds(iterations: int) -> float:
    """Return what it takes to write a report of so many iterations; the thread does that."""
    from prefect_qsession.config.modes import Mode  # noqa: PLC0415
    from prefect_qsession.reporting import run_events as events  # noqa: PLC0415
    from prefect_qsession.reporting.report.markdown import markdown  # noqa: PLC0415
    from prefect_qsession.reporting.report.model import RunReport  # noqa: PLC0415

    now = datetime.now(UTC)
    report = RunReport()

    report.note(events.OpenedEvent("measured", Mode.SESSION, "ibm_manila", 3600), now)
    for number in range(1, iterations + 1):
        values = {"energy": 1 / number, "gradient": 2 / number}
        report.note(events.JobSubmittedEvent(str(number), "measured", "estimator"), now)
        report.note(events.JobCompletedEvent(str(number)), now)
        report.note(events.TrackedEvent(values, number, iterations), now)
    began = time.perf_counter()
    for _ in range(10):
        markdown(report, now)
    return (time.perf_counter() - began) / 10


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


if __name__ == "__main__":
    run("visibility", measure, quick="fewer iterations", part=tell_nobody)
