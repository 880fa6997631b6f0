"""
Many open sessions at once, beside what `docs/scale.md` says of them.

    python -m benchmarks.scale [--sessions 1000] [--sqlite] [--quick] [--json] [--keep]

So many flow runs, in four processes, have a session each and run a job every four minutes, against
a Prefect server of their own and a service of eighty devices whose clock runs thirty times as fast
as the machine's. They open over some minutes; then their requests are counted for four more,
while the reaper passes once; then they end, one after the other. The emulated service's own record
says what became of sessions and jobs. The Prefect server is on PostgreSQL, which must be installed,
or on SQLite.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tests.harness.postgresql import binaries, database_where_installed
from benchmarks._results import finish, parser
from benchmarks._servers import Service, prefect_server, service
from tests.harness.processes import command_line, descendants
from benchmarks.scale.pace import sleep_until

ROOT = Path(__file__).parents[2]
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


def main() -> None:
    """Measure, and print one JSON object last, or a table."""
    options = parser("scale", "40 sessions, counted for half a minute")
    options.add_argument("--sessions", type=int, default=1000)
    options.add_argument("--sqlite", action="store_true", help="without PostgreSQL")
    finish(measure(options.parse_args()), options.parse_args())


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return figures and details."""
    if not options.sqlite and binaries() is None:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql, or --sqlite")
    sessions = 40 if options.quick else options.sessions
    seconds = 30.0 if options.quick else WINDOW_SECONDS
    own_database: AbstractContextManager[dict[str, str]] = (
        nullcontext({}) if options.sqlite else database_where_installed()
    )
    with (
        own_database as database,
        prefect_server(**database, **CONNECTIONS) as wait_until_up,
        service(
            JOB_SECONDS, round_trip_seconds=0.0, devices=DEVICES, time_scale=TIME_SCALE
        ) as emulated,
    ):
        wait_until_up()
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
    details = {
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
    return {"name": "scale", "figures": figures, "details": details}


def _run(sessions: int, seconds: float, emulated: Service) -> dict[str, Any]:
    """Have all flow runs live, and return what was seen of them."""
    from benchmarks.scale.ledger import ledger_bytes, save_block  # noqa: PLC0415 - imports Prefect

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
    crowds = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.scale.crowd", json.dumps(asked)],
            env=os.environ | paces,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    try:
        began = time.monotonic()
        for crowd in crowds:
            _heard(crowd, "ready")
        print(f"{sessions} flow runs after {time.monotonic() - began:.0f} s", file=sys.stderr)
        counted = [_count(emulated)]
        starts_at = time.time() + 1
        for crowd in crowds:
            _tell(crowd, starts_at)
        sleep_until(starts_at + opening_seconds)
        counted.append(_count(emulated))
        print("all have opened", file=sys.stderr)
        sleep_until(starts_at + opening_seconds + seconds / 2)
        open_sessions = [it for it in emulated.record()["sessions"] if it["accepting_jobs"]]
        pids = [crowd.pid for crowd in crowds]
        below = {pid for crowd in pids for pid in descendants(crowd)}
        guardians = sum("sidecar" in command_line(pid) for pid in below)
        ledger = ledger_bytes()
        reaping = time.monotonic()
        reaped = _reap()
        reaper_seconds = time.monotonic() - reaping
        sleep_until(starts_at + opening_seconds + seconds)
        counted.append(_count(emulated))
        told = [json.loads(_heard(crowd, "{")) for crowd in crowds]
    finally:
        for crowd in crowds:
            crowd.kill()
    before, opened, over = counted
    phases = {
        name: {
            "service": after["service"] - first["service"],
            "jobs": after["jobs"] - first["jobs"],
            "prefect": sum((Counter(one[name]) for one in told), Counter()),
        }
        for name, first, after in (("opening", before, opened), ("window", opened, over))
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


def _count(emulated: Service) -> dict[str, int]:
    return {"service": emulated.requests(), "jobs": len(emulated.record()["jobs"])}


def _heard(crowd: "subprocess.Popen[str]", begins: str) -> str:
    for line in crowd.stdout or ():
        if line.startswith(begins):
            return line
    raise SystemExit(f"A crowd ended before it said {begins!r}.")


def _tell(crowd: "subprocess.Popen[str]", starts_at: float) -> None:
    if crowd.stdin:
        crowd.stdin.write(f"{starts_at}\n")
        crowd.stdin.flush()


if __name__ == "__main__":
    main()
