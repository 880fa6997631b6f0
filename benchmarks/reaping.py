"""
What one pass of the reaper costs when many sessions are open and none must be released.

    python -m benchmarks.reaping [--entries 10000] [--flow-runs N] [--json] [--keep]

The entries are in a throwaway Prefect server (a process of its own, SQLite): one is recorded by the
ledger, the others are copies of its rows. They belong to so many flow runs that have begun; as many
as entries if left out. Half of the processes are this one, which is alive, half are on another
machine. The pass runs in a fresh process; its requests are counted where they are sent.
"""

import argparse
import json
import logging
import math
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from benchmarks import _results
from benchmarks._servers import prefect_server

if TYPE_CHECKING:
    from prefect_qsession.release.records import LedgerEntry


def main() -> None:
    """Measure, and print one JSON object last, or the figures alone as a table."""
    parser = _results.parser("reaping")
    parser.add_argument("--entries", type=int, default=10_000, help="open sessions in the ledger")
    parser.add_argument("--flow-runs", type=int, help="flow runs that they belong to")
    parser.add_argument("--pass-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pass_only:
        print(json.dumps(reap()))
        return
    _results.finish(measure(options.entries, options.flow_runs or options.entries), options)


def measure(entries: int, flow_runs: int) -> dict[str, Any]:
    """Fill a server, let a process of its own reap, and return the report."""
    load, _, _ = os.getloadavg()
    with prefect_server() as wait_for_prefect:
        wait_for_prefect()
        start = time.perf_counter()
        _fill(entries, flow_runs)
        filled_seconds = time.perf_counter() - start
        print(f"filled in {filled_seconds:.0f} s", file=sys.stderr)
        command = [sys.executable, "-m", "benchmarks.reaping", "--pass-only"]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seen: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    if seen["kept"] != entries or seen["others"]:
        raise SystemExit(f"The pass went wrong: {seen}")
    return {
        "name": "reaping",
        "figures": {
            "seconds": seen["seconds"],
            "requests": seen["requests"],
            "added_memory_mib": seen["added_memory_mib"],
            "peak_memory_mib": seen["peak_memory_mib"],
        },
        "details": {
            "entries": entries,
            "flow_runs": flow_runs,
            "requests_by_path": seen["requests_by_path"],
            "filled_seconds": filled_seconds,
            "load_average_at_start": load,
        },
    }


def reap() -> dict[str, Any]:
    """Run one pass in this process, and return what it took."""
    from prefect_qsession.ibm.records import RuntimeInstance  # noqa: PLC0415
    from prefect_qsession.release.ledger import Ledger  # noqa: PLC0415 - Prefect reads the environment
    from prefect_qsession.release.processes import liveness  # noqa: PLC0415
    from prefect_qsession.release.reaping import Reaper  # noqa: PLC0415
    from prefect_qsession.release.releasing import Releaser  # noqa: PLC0415

    def refuse(thing: object) -> RuntimeInstance:
        raise SystemExit(f"Nothing should be waited for or released here: {thing}")

    requests = _Requests()
    logging.getLogger("httpx").addHandler(requests)
    ledger = Ledger()
    before = _memory_mib("VmRSS")
    start = time.perf_counter()
    reaper = Reaper(ledger, liveness, Releaser(ledger, refuse))
    found = reaper.reap(refuse, patience_seconds=50, now=datetime.now(UTC))
    seconds = time.perf_counter() - start
    kept = sum(reaped.is_rightly_open for reaped in found)
    return {
        "seconds": seconds,
        "requests": requests.by_path.total(),
        "requests_by_path": dict(requests.by_path),
        "added_memory_mib": _memory_mib("VmHWM") - before,
        "peak_memory_mib": _memory_mib("VmHWM"),
        "kept": kept,
        "others": len(found) - kept,
    }


class _Requests(logging.Handler):
    """Count what Prefect's HTTP client says that it has sent."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.by_path: Counter[str] = Counter()
        logging.getLogger("httpx").setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        _method, url = record.args[:2] if isinstance(record.args, tuple) else ("", "")
        self.by_path[str(url).partition("/api")[2].partition("?")[0]] += 1


def _memory_mib(which: str) -> float:
    """Return this process's resident memory: VmRSS now, VmHWM at most so far (man 5 proc)."""
    # Not getrusage: what it calls the peak begins with that of the parent process.
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(which):
            return int(line.split()[1]) / 1024
    return math.nan


def _fill(entries: int, flow_runs: int) -> None:
    """Record one session through the API, and copy its rows: ten thousand requests take minutes."""
    # Not at the top: Prefect reads its settings when it is imported.
    from prefect import flow, get_client  # noqa: PLC0415
    from prefect.settings import PREFECT_HOME  # noqa: PLC0415
    from prefect.states import Running  # noqa: PLC0415

    from prefect_qsession.release.ledger import Ledger  # noqa: PLC0415

    @flow
    def held() -> None:
        """Stand for a flow run with an open session."""

    with get_client(sync_client=True) as client:
        flow_run_id = client.create_flow_run(held, state=Running()).id
    first = _entry(0, flow_run_id)
    Ledger().record(first)
    with closing(sqlite3.connect(PREFECT_HOME.value() / "prefect.db", timeout=60)) as database:
        database.row_factory = sqlite3.Row
        [flow_run] = database.execute("SELECT * FROM flow_run")
        [variable] = database.execute("SELECT * FROM variable")
        ids = [flow_run_id, *(uuid4() for _ in range(flow_runs - 1))]
        with database:
            for copied_id in ids[1:]:
                _insert(database, "flow_run", {**flow_run, "id": str(copied_id)})
            for number in range(1, entries):
                entry = _entry(number, ids[number % flow_runs])
                text = [variable["value"], variable["tags"], variable["name"]]
                value, tags, name = (_rewritten(each, first, entry) for each in text)
                copied = {"id": str(uuid4()), "value": value, "tags": tags, "name": name}
                _insert(database, "variable", {**variable, **copied})


def _rewritten(text: str, first: "LedgerEntry", entry: "LedgerEntry") -> str:
    """Put the ids of an entry, and its process, in the place of the first one's."""
    for old, new in (
        (first.session_id, entry.session_id),
        (first.session_id.replace("-", "_"), entry.session_id.replace("-", "_")),
        (str(first.flow_run_id), str(entry.flow_run_id)),
        (str(first.process.boot_id), str(entry.process.boot_id)),
    ):
        text = text.replace(old, new)
    return text


def _insert(database: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    columns = ", ".join(f'"{column}"' for column in row)
    marks = ", ".join("?" * len(row))
    statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - our own words
    database.execute(statement, list(row.values()))


def _entry(number: int, flow_run_id: UUID) -> "LedgerEntry":
    from prefect_qsession.release.processes import this_process  # noqa: PLC0415
    from prefect_qsession.release.records import LedgerEntry  # noqa: PLC0415

    here = this_process()
    return LedgerEntry(
        session_id=str(uuid4()),
        backend_name="ibm_sherbrooke",
        instance_crn=f"crn:v1:bluemix:public:quantum-computing:us-east:a/{'0' * 32}:{uuid4()}::",
        credentials="ibm",
        flow_run_id=flow_run_id,
        flow_run_name="eager-swan",
        root_flow_run_id=flow_run_id,
        attempt=1,
        process=replace(here, boot_id=str(uuid4())) if number % 2 else here,
        opened_at=datetime.now(UTC),
        max_time_seconds=3600,
    )


if __name__ == "__main__":
    main()
