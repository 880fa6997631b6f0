"""What is known of the open sessions, from the ledger, the Prefect API and the Runtime service."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from prefect_qsession.exceptions import QSessionError
from prefect_qsession.ibm.records import RuntimeInstance, WorkloadDetails
from prefect_qsession.reaper import connect
from prefect_qsession.release.ledger import PrefectLedger
from prefect_qsession.release.processes import liveness
from prefect_qsession.release.records import LedgerEntry, Liveness


@dataclass(frozen=True)
class OverviewEntry:
    """One entry of the ledger, with what Prefect and the Runtime service say of it now."""

    entry: LedgerEntry
    flow_run_state: str | None
    """Prefect's type of state, None for a flow run that does not exist any more."""
    process: Liveness
    details: WorkloadDetails | None = None
    """What the service says; None if it was not asked, or did not tell."""
    problem: str | None = None
    """Why the service did not tell."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        entry, details = self.entry, self.details
        return {
            "session_id": entry.session_id,
            "backend": entry.backend_name,
            "instance": entry.instance_crn,
            "credentials": entry.credentials,
            "flow_run": {
                "id": str(entry.flow_run_id),
                "name": entry.flow_run_name,
                "state": self.flow_run_state,
                "attempt": entry.attempt,
                "root_id": str(entry.root_flow_run_id),
            },
            "process": {
                "host": entry.process.host,
                "pid": entry.process.pid,
                "liveness": self.process,
                "last_heartbeat": _iso(entry.heartbeat_at),
            },
            "opened_at": _iso(entry.opened_at),
            "deadline": _iso(entry.deadline),
            "max_time_seconds": entry.max_time_seconds,
            "service": details
            and {
                "state": details.state,
                "accepting_jobs": details.accepting_jobs,
                "started_at": _iso(details.started_at),
                "usage_seconds": details.usage_seconds,
            },
            "problem": self.problem,
        }


def open_sessions(
    session_id: str | None = None, *, with_service: bool = True
) -> list[OverviewEntry]:
    """
    Return what is known of the open sessions, or of one of them, the oldest first.

    Raises:
        LedgerUnavailable: The Prefect API does not tell which sessions are open.
    """
    ledger = PrefectLedger()
    if session_id is None:
        entries = sorted(ledger.entries(), key=lambda entry: entry.opened_at)
    else:
        entries = [entry] if (entry := ledger.find(session_id)) else []
    flow_runs = ledger.flow_runs({entry.flow_run_id for entry in entries})
    details = _details(entries) if with_service else ((None, None) for _ in entries)
    return [
        OverviewEntry(
            entry,
            progress.state_type if (progress := flow_runs.get(entry.flow_run_id)) else None,
            liveness(entry.process),
            said,
            problem,
        )
        for entry, (said, problem) in zip(entries, details, strict=True)
    ]


def _details(entries: list[LedgerEntry]) -> Iterator[tuple[WorkloadDetails | None, str | None]]:
    """Ask the service for each; connect once for each block, and tell a problem in words."""
    instances: dict[str, RuntimeInstance | QSessionError] = {}
    for entry in entries:
        name = entry.credentials
        if name is None:
            yield None, "A session's credentials are not saved as a block: its usage is not known."
            continue
        if name not in instances:
            try:
                instances[name] = connect(name)
            except QSessionError as error:
                instances[name] = error
        instance = instances[name]
        if isinstance(instance, QSessionError):
            yield None, str(instance)
            continue
        try:
            session = instance.find(entry.session_id)
            yield (session.details(), None) if session else (None, None)
        except QSessionError as error:
            yield None, str(error)


def print_table(sessions: list[OverviewEntry], now: datetime) -> None:
    """Print one line for each session."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("SESSION", "BACKEND", "STATE", "OPEN FOR", "USED", "FLOW RUN", "IS", "PROCESS"):
        table.add_column(title, no_wrap=title == "SESSION", overflow="fold")
    for session in sessions:
        entry, details = session.entry, session.details
        table.add_row(
            entry.session_id,
            entry.backend_name,
            details.state if details else "?",
            _span(now - entry.opened_at),
            _used(details),
            entry.flow_run_name,
            (session.flow_run_state or "missing").lower(),
            f"{entry.process.pid}@{entry.process.host} ({session.process})",
        )
    # Into a file or a pipe, a line is never broken.
    console = Console()
    console.print(table) if console.is_terminal else Console(width=250).print(table)


def print_details(session: OverviewEntry, now: datetime) -> None:
    """Print all that is known of one session, one fact a line."""
    entry, details = session.entry, session.details
    heartbeat = f"{_span(now - entry.heartbeat_at)} ago" if entry.heartbeat_at else "never"
    facts = {
        "Session": entry.session_id,
        "Backend": entry.backend_name,
        "State": details.state if details else "not known",
        "Takes jobs": ("yes" if details.accepting_jobs else "no") if details else "not known",
        "Used": _used(details),
        "Opened": f"{entry.opened_at:%Y-%m-%d %H:%M:%S} UTC, {_span(now - entry.opened_at)} ago",
        "Ends at the latest": f"{_span(timedelta(seconds=entry.max_time_seconds))} after its first "
        "job started",
        "Flow run": f"{entry.flow_run_name} ({entry.flow_run_id})",
        "Flow run is": f"{(session.flow_run_state or 'missing').lower()}, attempt {entry.attempt}",
        "Process": f"{entry.process.pid} on {entry.process.host}, {session.process}",
        "Last heartbeat": heartbeat,
        "Credentials block": entry.credentials or "none: not saved",
        "Instance": entry.instance_crn,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, fact in facts.items():
        table.add_row(name, fact)
    Console().print(table, soft_wrap=True)


def _used(details: WorkloadDetails | None) -> str:
    return "?" if details is None else f"{details.usage_seconds or 0:.0f} s"


def _span(duration: timedelta) -> str:
    seconds = max(0, int(duration.total_seconds()))
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
