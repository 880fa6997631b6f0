"""The artifacts of a flow run in the Prefect API: each made once, and updated in place."""

import json
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import Artifact

from prefect_qsession.prefect_api.clients import short_timeout_client

REPORT, JOBS, PROGRESS, LINK = (
    "session-report",
    "session-jobs",
    "session-progress",
    "session-page",
)
"""Their keys: the same for every flow run, so that Prefect's page of artifacts has four, each with
its history, and not four for every flow run."""

DESCRIPTIONS = {
    REPORT: "The session of this flow run, its jobs and its numbers.",
    JOBS: "The jobs of this flow run.",
    PROGRESS: "How many of the iterations are done.",
    LINK: "The session at the service.",
}


class RunArtifacts:
    """
    Keep the artifacts of one flow run; for one thread, and every method may raise.

    Args:
        flow_run_id: Whose they are.
        may_exist: Whether an earlier attempt may have made them.
    """

    def __init__(self, flow_run_id: UUID, *, may_exist: bool) -> None:
        self._flow_run_id = flow_run_id
        self._may_exist = may_exist
        self._ids: dict[str, UUID] = {}
        self._stack = ExitStack()
        self._client: SyncPrefectClient | None = None

    def earlier_sessions(self) -> list[dict[str, str]]:
        """Return what the report of earlier attempts has of their sessions."""
        found = self._find(REPORT) if self._may_exist else None
        return self._sessions_of(found) if found else []

    def show_report(self, markdown: str, sessions: list[dict[str, str]]) -> None:
        """Show the session report, and keep its sessions for the next attempt."""
        self._show(REPORT, "markdown", markdown, {"sessions": json.dumps(sessions)})

    def annotate_report(self, note: str, session_id: str, stage: str) -> None:
        """Put a note at the head of the report, if there is one, and the session's new stage."""
        found = self._find(REPORT)
        if found is None:
            return
        sessions = [
            it | {"stage": stage} if it["session_id"] == session_id else it
            for it in self._sessions_of(found)
        ]
        title, _, rest = str(found.data).partition("\n\n")
        self._ids[REPORT] = found.id
        self.show_report(f"{title}\n\n> {note}\n\n{rest}", sessions)

    def show_progress(self, percent: float) -> None:
        """Show how far the iterations are."""
        self._show(PROGRESS, "progress", percent)

    def show_jobs(self, rows: list[dict[str, Any]]) -> None:
        """Show the table of jobs."""
        self._show(JOBS, "table", json.dumps(rows))

    def show_link(self, text: str, page: str) -> None:
        """Show where the session is at the service."""
        self._show(LINK, "markdown", f"[{text}]({page})")

    def close(self) -> None:
        """Let go of the connection; it is made anew when there is more to show."""
        self._stack.close()
        self._client = None

    @staticmethod
    def _sessions_of(report: Artifact) -> list[dict[str, str]]:
        sessions: list[dict[str, str]] = json.loads((report.metadata_ or {}).get("sessions", "[]"))
        return sessions

    def _show(self, key: str, kind: str, data: Any, metadata: dict[str, str] | None = None) -> None:
        client = self._connect()
        if key not in self._ids and self._may_exist and (found := self._find(key)):
            self._ids[key] = found.id
        if known := self._ids.get(key):
            client.update_artifact(known, ArtifactUpdate(data=data, metadata_=metadata))
            return
        made = client.create_artifact(
            ArtifactCreate(
                key=key,
                type=kind,
                description=DESCRIPTIONS[key],
                data=data,
                metadata_=metadata,
                flow_run_id=self._flow_run_id,
            )
        )
        self._ids[key] = made.id

    def _find(self, key: str) -> Artifact | None:
        found = self._connect().read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(any_=[key]),
                flow_run_id=ArtifactFilterFlowRunId(any_=[self._flow_run_id]),
            ),
            limit=1,
        )
        return found[0] if found else None

    def _connect(self) -> SyncPrefectClient:
        # A client costs more than what is asked by it: one is kept for all.
        if self._client is None:
            self._client = self._stack.enter_context(short_timeout_client())
        return self._client
