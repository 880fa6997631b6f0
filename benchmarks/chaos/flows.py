"""
The flows that are ended: they run jobs, two at a time, until they are let go or ended.

Credentials, backend and policy come from the settings.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from prefect.runtime import flow_run

from benchmarks.chaos.marks import Marks
from benchmarks.endings.flows import end, jobs_in_task, run_jobs
from benchmarks.endings.marks import LOOK_SECONDS
from prefect_qsession import session_flow


def _begin(where: str) -> Marks:
    marks = Marks(Path(where))
    marks.begin(str(flow_run.id), os.getpid())
    return marks


def _run_jobs(where: str) -> None:
    match where:
        case "body":
            run_jobs()
        case "task":
            jobs_in_task()
        case "submitted task":
            jobs_in_task.submit().result()
        case _:
            raise ValueError(where)


@session_flow
def iterating(
    where: str, shape: str = "returns", jobs_in: str = "body", step_seconds: float = 0.0
) -> Any:
    """Run jobs, with a step in between, until let go; then end as it says."""
    marks = _begin(where)
    try:
        while not marks.may_go:
            _run_jobs(jobs_in)
            until = time.monotonic() + step_seconds
            while time.monotonic() < until and not marks.may_go:
                time.sleep(LOOK_SECONDS)
    finally:
        marks.stop()
    return end(shape)


@session_flow
async def awaiting(
    where: str, shape: str = "returns", jobs_in: str = "body", step_seconds: float = 0.0
) -> Any:
    """Do the same in an async flow, whose event loop stays free."""
    marks = _begin(where)
    try:
        while not marks.may_go:
            await asyncio.to_thread(_run_jobs, jobs_in)
            until = time.monotonic() + step_seconds
            while time.monotonic() < until and not marks.may_go:  # noqa: ASYNC110 - see endings
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        marks.stop()
    return end(shape)
