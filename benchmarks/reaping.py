"""
What one pass of the reaper costs when none of many sessions must be released; see README.md.

    python -m benchmarks.reaping [--entries 10000] [--flow-runs N] [--json] [--keep]
"""

import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from benchmarks._requests import Requests
from benchmarks._results import Measured, Options, part_of, run
from benchmarks._servers import prefect_server
from tests.harness.processes import peak_mib, resident_mib

if TYPE_CHECKING:
    from prefect_qsession.release.records import LedgerEntry


def measure(options: Options) -> Measured:
    """Fill a server, and let a process of its own reap."""
    entries, flow_runs = options.entries, options.flow_runs or options.entries
    with prefect_server():
        start = time.perf_counter()
        _fill(entries, flow_runs)
        filled_seconds = time.perf_counter() - start
        print(f"filled in {filled_seconds:.0f} s", file=sys.stderr)
        seen = part_of("reaping")
    if seen["kept"] != entries or seen["others"]:
        raise SystemExit(f"The pass went wrong: {seen}")
    figures = ("seconds", "requests", "added_memory_mib", "peak_memory_mib")
    return {figure: seen[figure] for figure in figures}, {
        "entries": entries,
        "flow_runs": flow_runs,
        "requests_by_path": seen["requests_by_path"],
        "filled_seconds": filled_seconds,
    }


def reap() -> dict[str, Any]:
    """Run one pass in this process, and return what it took."""
    from prefect_qsession.ibm.records import RuntimeInstance  # noqa: PLC0415
    from prefect_qsession.release.ledger import PrefectLedger  # noqa: PLC0415 - Prefect reads the environment
    from prefect_qsession.release.processes import liveness  # noqa: PLC0415
    from prefect_qsession.release.reaping import Reaper  # noqa: PLC0415
    from prefect_qsession.release.releasing import Releaser  # noqa: PLC0415

    def refuse(thing: object) -> RuntimeInstance:
        raise SystemExit(f"Nothing should be waited for or released here: {thing}")

    requests = Requests()
    ledger = PrefectLedger()
    before = resident_mib()
    start = time.perf_counter()
    reaper = Reaper(ledger, liveness, Releaser(ledger, refuse))
    found = reaper.reap(refuse, patience_seconds=50, now=datetime.now(UTC))
    seconds = time.perf_counter() - start
    kept = sum(reaped.is_rightly_open for reaped in found)
    return {
        "seconds": seconds,
        "requests": requests.sent.total(),
        "requests_by_path": {path: count for (_method, path), count in requests.sent.items()},
        "added_memory_mib": peak_mib() - before,
        "peak_memory_mib": peak_mib(),
        "kept": kept,
        "others": len(found) - kept,
    }


def _fill(entries: int, flow_runs: int) -> None:
    """Record one session through the API, and copy its rows: ten thousand requests take minutes."""
    from prefect import flow, get_client  # noqa: PLC0415
    from prefect.settings import PREFECT_HOME  # noqa: PLC0415
    from prefect.states import Running  # noqa: PLC0415

    from prefect_qsession.release.ledger import PrefectLedger  # noqa: PLC0415

    @flow
    def held() -> None:
        """Stand for a flow run with an open session."""

    with get_client(sync_client=True) as client:
        flow_run_id = client.create_flow_run(held, state=Running()).id
    first = _entry(0, flow_run_id)
    PrefectLedger().record(first)
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
    entries, flow_runs = (10_000, "open sessions in the ledger"), (0, "that they belong to")
    run("reaping", measure, part=reap, entries=entries, flow_runs=flow_runs)
