"""
Many open sessions at once, beside what `docs/scale.md` says of them; see README.md.

    python -m benchmarks.scale [--sessions 1000] [--sqlite] [--quick] [--json] [--keep]
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

from benchmarks._results import Measured, Options, run
from benchmarks._servers import Service, prefect_server, service
from demo.servers import ROOT
from tests.harness.postgresql import binaries, database_where_installed
from tests.harness.processes import command_line, descendants
from tests.harness.waiting import sleep_until

PROCESSES = 4
DEVICES = 80
TIME_SCALE = 30.0
"""A session is active for a minute after its job: two seconds here, or others would wait for it."""
JOB_SECONDS = 30.0
WINDOW_SECONDS = 240.0
OPENINGS_PER_SECOND = 2.0
"""On two cores, with everything else on them."""
CONNECTIONS = {
    "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "20",
    "PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW": "20",
}
"""Of the Prefect server to its database; with its own fifteen it lets requests of a thousand flow
runs wait for one until they fail."""
LOOKS, BEATS, JOBS = 4, 2, 1
"""Of each session in the window. With its four minutes, as an operator sets it for so many: a look
of the monitor every minute, a heartbeat every two."""
QUESTIONS_PER_SECOND = 2
"""How often each asks for its job, at the most: half a minute of a job passes in a second."""
REPORT_SECONDS = 5.0
"""Between two updates of a session report, at the least."""


def measure(options: Options) -> Measured:
    """Have all flow runs live, and compare."""
    if not options.sqlite and binaries() is None:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql, or --sqlite")
    sessions = 40 if options.quick else options.sessions
    seconds = 30.0 if options.quick else WINDOW_SECONDS
    own_database: AbstractContextManager[dict[str, str]] = (
        nullcontext({}) if options.sqlite else database_where_installed()
    )
    with (
        own_database as database,
        prefect_server(**database, **CONNECTIONS),
        service(
            JOB_SECONDS, round_trip_seconds=0.0, devices=DEVICES, time_scale=TIME_SCALE
        ) as emulated,
    ):
        seen = _run(sessions, seconds, emulated)
        record = emulated.record()
    window, opening = seen["window"], seen["opening"]
    expected = {"monitor": sessions * LOOKS / seconds, "heartbeat": sessions * BEATS / seconds}
    per_second = Counter({who: count / seconds for who, count in window["prefect"].items()})
    per_job = window["service"] / window["jobs"]
    jobs_left = sum(job["status"] != "Completed" for job in record["jobs"])
    figures = {
        "sessions_at_once": seen["open_sessions"],
        "sessions_left_open": sum(session["state"] != "closed" for session in record["sessions"]),
        "jobs_not_completed": jobs_left,
        "flow_runs_failed": len(seen["errors"]),
        "sessions_reaped": len(seen["reaped"]),
        "reaper_seconds": seen["reaper_seconds"],
        **{f"{who}_over_formula": per_second[who] / rate for who, rate in expected.items()},
        "report_over_formula": per_second["report"] / (sessions / REPORT_SECONDS),
        "prefect_requests_per_second": sum(per_second.values()),
        "service_requests_per_second": window["service"] / seconds,
        "service_requests_per_job": per_job,
        "service_requests_per_opening": (opening["service"] - opening["jobs"] * per_job) / sessions,
        "guardians": seen["guardians"],
        "threads_per_session": seen["threads"] / sessions,
        "memory_mib_per_process": seen["memory_mib"] / PROCESSES,
        "ledger_bytes_per_session": seen["ledger_bytes"] / max(seen["open_sessions"], 1),
    }
    return figures, {
        "sessions": sessions,
        "database": "SQLite" if options.sqlite else "PostgreSQL",
        "window_seconds": seconds,
        "expected_per_second": expected,
        "per_second": per_second,
        "job_every_seconds": seconds / JOBS,
        "jobs": len(record["jobs"]),
        "opening": opening,
        "window": window,
        "errors": seen["errors"][:10],
        "failed_starts": seen["failed_starts"],
    }


def _run(sessions: int, seconds: float, emulated: Service) -> dict[str, Any]:
    """Have all flow runs live, and return what was seen of them."""
    from benchmarks.scale.flow_runs import ledger_bytes, save_block  # noqa: PLC0415

    save_block(emulated.environment)
    opening_seconds = sessions / OPENINGS_PER_SECOND
    asked = {
        "flow_runs": sessions // PROCESSES,
        "devices": DEVICES,
        "job_every": seconds / JOBS,
        "opening": opening_seconds,
        "window": seconds,
    }
    paces = {
        "PREFECT_INTEGRATIONS_QSESSION_MONITOR_EVERY": str(seconds / LOOKS),
        "PREFECT_INTEGRATIONS_QSESSION_HEARTBEAT_EVERY": str(seconds / BEATS),
        "PREFECT_INTEGRATIONS_QSESSION_QUESTIONS_PER_SECOND": str(QUESTIONS_PER_SECOND),
    }
    command = [sys.executable, "-m", "benchmarks.scale.flow_runs", json.dumps(asked)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [
        subprocess.Popen(command, env=os.environ | paces, cwd=ROOT, **pipes)
        for _ in range(PROCESSES)
    ]
    try:
        began = time.monotonic()
        for process in processes:
            _heard(process, "ready")
        print(f"{sessions} flow runs after {time.monotonic() - began:.0f} s", file=sys.stderr)
        counted = [_count(emulated)]
        starts_at = time.time() + 1
        for process in processes:
            print(starts_at, file=process.stdin, flush=True)
        sleep_until(starts_at + opening_seconds)
        counted.append(_count(emulated))
        print("all have opened", file=sys.stderr)
        sleep_until(starts_at + opening_seconds + seconds / 2)
        open_sessions = [it for it in emulated.record()["sessions"] if it["accepting_jobs"]]
        below = {pid for process in processes for pid in descendants(process.pid)}
        guardians = sum("sidecar" in command_line(pid) for pid in below)
        ledger = ledger_bytes()
        reaping = time.monotonic()
        reaped = _reap()
        reaper_seconds = time.monotonic() - reaping
        sleep_until(starts_at + opening_seconds + seconds)
        counted.append(_count(emulated))
        told = [json.loads(_heard(process, "{")) for process in processes]
    finally:
        for process in processes:
            process.kill()
    phases = {}
    for name, (before, after) in zip(("opening", "window"), pairwise(counted), strict=True):
        phases[name] = {
            "service": after[0] - before[0],
            "jobs": after[1] - before[1],
            "prefect": sum((Counter(one[name]) for one in told), Counter()),
        }
    return {
        **phases,
        "open_sessions": len(open_sessions),
        "guardians": guardians,
        "ledger_bytes": ledger,
        "reaped": reaped,
        "reaper_seconds": reaper_seconds,
        "threads": sum(one["threads"] for one in told),
        "memory_mib": sum(one["memory_mib"] for one in told),
        "errors": [error for one in told for error in one["errors"]],
        "failed_starts": [error for one in told for error in one["failed_starts"]],
    }


def _reap() -> list[dict[str, Any]]:
    """Run one pass of the reaper, as its deployment does, and return what it released."""
    command = [sys.executable, "-m", "prefect_qsession.cli", "reap", "--json"]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [one for one in json.loads(printed) if one["result"] == "released"]


def _count(emulated: Service) -> tuple[int, int]:
    """Return how many requests the service has had, and how many jobs."""
    return emulated.requests(), len(emulated.record()["jobs"])


def _heard(process: "subprocess.Popen[str]", begins: str) -> str:
    for line in process.stdout or ():
        if line.startswith(begins):
            return line
    raise SystemExit(f"A process ended before it said {begins!r}.")


if __name__ == "__main__":
    run(
        "scale",
        measure,
        quick="40 sessions, counted for half a minute",
        sessions=(1000, "open at once"),
        sqlite=(False, "without PostgreSQL"),
    )
