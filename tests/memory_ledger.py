"""A ledger without an API, for tests of policies; it passes the contract of the real one."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from prefect_qsession.release.records import FlowRunProgress, LedgerEntry, ProcessIdentity

THEN = datetime(2026, 11, 23, 12, tzinfo=UTC)


def make_entry(**changes) -> LedgerEntry:
    """Return an entry of a flow run and session of its own, changed as asked."""
    flow_run_id = changes.pop("flow_run_id", None) or uuid4()
    fields = {
        "session_id": str(uuid4()),
        "backend_name": "ibm_manila",
        "instance_crn": "crn:v1:bluemix:public:quantum-computing:us-east:a/1:2::",
        "credentials": "ibm",
        "flow_run_id": flow_run_id,
        "flow_run_name": "eager-swan",
        "root_flow_run_id": flow_run_id,
        "attempt": 1,
        "process": ProcessIdentity("elsewhere", 4711, "another-boot", "pid:[1]", 99),
        "opened_at": THEN,
        "max_time_seconds": 3600,
    }
    return LedgerEntry(**{**fields, **changes})


@dataclass
class MemoryLedger:
    """Keep entries and flow runs in this process; what is heard of an entry is one second later."""

    kept: dict[str, LedgerEntry] = field(default_factory=dict)
    progress: dict[UUID, FlowRunProgress] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ticks: int = 0

    def record(self, entry: LedgerEntry) -> None:
        self.kept[entry.session_id] = self._heard(entry)

    def beat(self, entry: LedgerEntry) -> bool:
        if entry.session_id not in self.kept:
            return False
        beat = self.kept[entry.session_id].beat + 1
        self.kept[entry.session_id] = self._heard(replace(entry, beat=beat))
        return True

    def forget(self, session_id: str) -> None:
        self.kept.pop(session_id, None)

    def find(self, session_id: str) -> LedgerEntry | None:
        self.asked.append("find")
        return self.kept.get(session_id)

    def entries(self, flow_run_id: UUID | None = None) -> list[LedgerEntry]:
        self.asked.append("entries")
        return [
            entry
            for entry in self.kept.values()
            if flow_run_id in (None, entry.flow_run_id, entry.root_flow_run_id)
        ]

    def flow_runs(self, flow_run_ids: Iterable[UUID]) -> dict[UUID, FlowRunProgress]:
        self.asked.append("flow_runs")
        return {each: self.progress[each] for each in flow_run_ids if each in self.progress}

    def _heard(self, entry: LedgerEntry) -> LedgerEntry:
        self.ticks += 1
        return replace(entry, heartbeat_at=THEN + timedelta(seconds=self.ticks))
