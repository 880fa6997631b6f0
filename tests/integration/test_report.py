"""What is shown of a flow run with a session, as Prefect's API has it."""

import asyncio
import contextvars
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, get_client, runtime, task
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)

from demo.servers import free_port
from prefect_qsession import session_flow, track
from prefect_qsession.emulator import InstanceSettings, QueueSettings
from tests.harness.waiting import wait_until
from tests.integration.conftest import measure_one, one
from tests.integration.session_flows import Boom


def artifacts(flow_run_id) -> dict[str, list]:
    """Return the artifacts of a flow run by their keys."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(str(flow_run_id))])
            )
        )
    by_key: dict[str, list] = {}
    for artifact in found:
        by_key.setdefault(artifact.key, []).append(artifact)
    return by_key


def report(flow_run_id) -> str:
    """Return the one session report of a flow run, without its pictures."""
    [found] = artifacts(flow_run_id)["session-report"]
    return re.sub(r"\(data:[^)]*\)", "()", found.data)


def shows(flow_run_id, *texts) -> bool:
    """Whether the report is there and has all these texts."""
    return "session-report" in artifacts(flow_run_id) and all(
        text in report(flow_run_id) for text in texts
    )


def test_a_flow_run_shows_its_session_its_jobs_and_its_numbers(block, emulator):
    """One report, one table of jobs, one progress; and nothing that leads nowhere."""

    @session_flow(block, backend="ibm_manila")
    def tracked() -> str:
        for number in (1, 2):
            track(energy=-float(one(9 + number)), iteration=number, total=4)
        return runtime.flow_run.id

    flow_run_id = tracked()

    [session] = emulator.sessions
    wait_until(lambda: "session-jobs" in artifacts(flow_run_id))
    assert {"session-report", "session-jobs", "session-progress"} == set(artifacts(flow_run_id))
    said = report(flow_run_id)
    assert "**closed** · iteration 2 of 4 at the most" in said
    assert f"| Session | `{session.id}` |" in said
    assert "| Jobs | 2: 2 completed |" in said
    assert "![State timeline]()" in said
    assert "![Convergence of energy]()" in said
    rows = json.loads(artifacts(flow_run_id)["session-jobs"][0].data)
    charged = [job.charged_seconds for job in emulator.jobs]
    assert [(job.id, "completed") for job in emulator.jobs] == [
        (row["job"], row["state"]) for row in rows
    ]
    assert charged == pytest.approx([row["QPU seconds"] for row in rows])
    # It has completed, with fewer iterations than there might have been.
    assert 100.0 == artifacts(flow_run_id)["session-progress"][0].data


def test_the_report_is_there_while_the_flow_runs_and_is_updated_in_place(block, emulator):
    """The same artifact says first that the session is active, and then that it is closed."""
    seen = []

    @session_flow(block, backend="ibm_manila")
    def looked_at() -> str:
        one()
        flow_run_id = runtime.flow_run.id
        wait_until(lambda: "session-report" in artifacts(flow_run_id))
        seen.append(artifacts(flow_run_id)["session-report"][0])
        return flow_run_id

    flow_run_id = looked_at()

    wait_until(lambda: shows(flow_run_id, "**closed**"))
    [last] = artifacts(flow_run_id)["session-report"]
    assert "**closed**" not in seen[0].data
    assert seen[0].id == last.id


@pytest.mark.parametrize("keep", [60, 0])
def test_over_several_attempts_there_is_one_report(keep, block, emulator, monkeypatch):
    """With the session kept for the next attempt, and with one for each."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_KEEP_FOR_RETRY", str(keep))
    attempts = []

    @session_flow(block, backend="ibm_manila", retries=1, retry_delay_seconds=1)
    def fails_once() -> str:
        attempts.append(one(10))
        if len(attempts) == 1:
            raise Boom
        one(20)
        return runtime.flow_run.id

    flow_run_id = fails_once()

    wait_until(lambda: "session-jobs" in artifacts(flow_run_id))
    first, *_, last = [session.id for session in emulator.sessions] * 2
    assert 1 == len(artifacts(flow_run_id)["session-report"])
    assert f"| Session | `{last}` |" in report(flow_run_id)
    assert "taken up from an earlier attempt, not paid again" in report(flow_run_id)
    assert (first != last) == (f"| `{first}` | session |" in report(flow_run_id))


def test_a_fallback_is_explained(make_emulator, save_block):
    """In the report of a flow run that has to do without a session."""
    emulator = make_emulator(instances=(InstanceSettings(plan="open"),))

    @session_flow(save_block(emulator), backend="ibm_manila", mode="auto", fallback="job")
    def job_by_job() -> str:
        one()
        return runtime.flow_run.id

    flow_run_id = job_by_job()

    wait_until(lambda: shows(flow_run_id, "| Mode | job, because the plan refused a session |"))
    assert "1352" in report(flow_run_id)


def test_a_budget_is_shown(block, emulator):
    """How much of it is spent."""

    @session_flow(block, backend="ibm_manila", qpu_budget="10m")
    def capped() -> str:
        one()
        return runtime.flow_run.id

    flow_run_id = capped()

    wait_until(lambda: shows(flow_run_id, "**closed**"))
    assert re.search(r"\| QPU budget \| \d+% used: .* of 10 min \|", report(flow_run_id))


def test_numbers_come_from_the_body_tasks_threads_and_subflows(block, emulator):
    """All of them are shown with the flow run that has the session."""

    @task
    def in_a_task(number: int) -> None:
        track(energy=1.0, iteration=number)

    @flow
    def below() -> None:
        track(energy=4.0, iteration=4)

    @session_flow(block, backend="ibm_manila")
    def everywhere() -> str:
        one()
        track(energy=1.0, iteration=1)
        in_a_task(2)
        in_a_task.submit(3).result()
        below()
        bare = contextvars.copy_context()
        thread = threading.Thread(target=bare.run, args=(lambda: track(energy=5.0, iteration=5),))
        thread.start()
        thread.join()
        asyncio.run(asyncio.to_thread(track, energy=6.0, iteration=6))
        return runtime.flow_run.id

    flow_run_id = everywhere()

    wait_until(lambda: shows(flow_run_id, "iteration 6"))
    [found] = artifacts(flow_run_id)["session-report"]
    assert "Convergence of energy" in found.data


def test_a_task_run_is_named_after_what_it_found(block, emulator):
    """In the API, by the time that it has completed."""

    @task
    def energy(number: int) -> None:
        track(energy=-1.5, iteration=number)

    @task(task_run_name="point {number}")
    def named(number: int) -> None:
        track(cost=2.0, iteration=number)

    @session_flow(block, backend="ibm_manila")
    def names() -> str:
        one()
        energy(7)
        named(8)
        return runtime.flow_run.id

    flow_run_id = names()

    def task_run_names() -> set[str]:
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
        with get_client(sync_client=True) as client:
            return {run.name for run in client.read_task_runs(flow_run_filter=mine)}

    wait_until(lambda: {"energy 7: -1.5", "point 8: 2"} <= task_run_names())


def test_a_queue_that_is_long_is_said_in_the_log(make_emulator, save_block, monkeypatch, caplog):
    """Once, while it is still long."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_LONG_QUEUE", "0.1")
    emulator = make_emulator(queue=QueueSettings(jobs_ahead=1, seconds_each=8.0))

    @session_flow(save_block(emulator), backend="ibm_manila")
    def waits() -> None:
        measure_one()

    waits()

    said = [record.getMessage() for record in caplog.records]
    assert 1 == sum("has waited in the queue for" in line for line in said)


def test_an_api_that_is_away_costs_neither_an_error_nor_a_wait():
    """What a real process tells of itself whose API nobody serves."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.visibility", "--part", "[10]"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"},
        check=True,
        capture_output=True,
    )

    costs, finish_seconds = json.loads(ended.stdout)
    assert 10 == len(costs)
    # A second is what it waits; the rest is for a machine that is busy.
    assert finish_seconds < 5
