"""
Which sessions of the ledger nobody else will release, and when that is certain enough to act.

Pure. The decision is a table over what is seen of a session's flow run and process. It is
taken without comparing clocks, and taken again from a new look right before a session is released,
so that what another machine does meanwhile is not undone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from prefect_qsession.exceptions import LedgerUnavailable
from prefect_qsession.release.records import (
    FlowRunProgress,
    Ledger,
    LedgerEntry,
    Liveness,
    ProcessIdentity,
)
from prefect_qsession.release.releasing import Reaped, Releaser, ReleaseResult
from prefect_qsession.states import Release


class FlowRunStatus(StrEnum):
    """Where the flow run of a session stands, seen from the attempt that opened the session."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    """Prefect takes it for dead, which it is not when only its heartbeat was late."""
    UNFINISHED = "unfinished"
    LATER_ATTEMPT = "in a later attempt"
    MISSING = "missing"
    """The Prefect API has no such flow run."""


class ReaperDecision(StrEnum):
    """What is right for a session in the ledger."""

    KEEP = "keep"
    CLOSE = "close"
    CANCEL = "cancel"


_S, _L, _V = FlowRunStatus, Liveness, ReaperDecision
_LOOKS = [(seen, silent) for seen in Liveness for silent in (False, True)]

_CLOSE = dict.fromkeys(_LOOKS, _V.CLOSE)
_CANCEL = dict.fromkeys(_LOOKS, _V.CANCEL)
# Silence from another machine is no death while Prefect counts on the flow run: it may be a paused
# laptop, or a slow API.
_CANCEL_IF_GONE = dict.fromkeys(_LOOKS, _V.KEEP) | {
    (_L.GONE, False): _V.CANCEL,
    (_L.GONE, True): _V.CANCEL,
}
_CANCEL_IF_GONE_OR_SILENT = _CANCEL_IF_GONE | {(_L.UNKNOWN, True): _V.CANCEL}

DECISIONS: dict[tuple[FlowRunStatus, Liveness, bool], ReaperDecision] = {
    (status, seen, silent): decision
    for status, rule in {
        _S.COMPLETED: _CLOSE,
        _S.FAILED: _CANCEL,
        _S.CANCELLED: _CANCEL,
        _S.CRASHED: _CANCEL_IF_GONE_OR_SILENT,
        _S.UNFINISHED: _CANCEL_IF_GONE,
        _S.LATER_ATTEMPT: _CANCEL_IF_GONE_OR_SILENT,
        _S.MISSING: _CANCEL_IF_GONE_OR_SILENT,
    }.items()
    for (seen, silent), decision in rule.items()
}
"""By the flow run, its process, and whether its heartbeat stood still between two looks."""


def flow_run_status(entry: LedgerEntry, flow_run: FlowRunProgress | None) -> FlowRunStatus:
    """Return where the flow run of an entry stands; None is one that does not exist."""
    if flow_run is None:
        return FlowRunStatus.MISSING
    if flow_run.state_type in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED"):
        return FlowRunStatus[flow_run.state_type]
    if flow_run.run_count > entry.attempt:
        return FlowRunStatus.LATER_ATTEMPT
    return FlowRunStatus.UNFINISHED


def same_sign_of_life(before: LedgerEntry, now: LedgerEntry | None) -> bool:
    """Whether nothing was heard of the flow's process between two looks at its entry."""
    # An entry that is gone says nothing new; whoever acts on it looks for it once more.
    return now is None or (before.beat, before.heartbeat_at) == (now.beat, now.heartbeat_at)


@dataclass(frozen=True)
class Observation:
    """What is seen of one entry of the ledger at a time."""

    entry: LedgerEntry
    flow_run: FlowRunStatus
    process: Liveness
    silent: bool = False
    """Whether its heartbeat has stood still since an earlier observation."""

    @property
    def decision(self) -> ReaperDecision:
        """What is right for the session."""
        return DECISIONS[self.flow_run, self.process, self.silent]

    def __str__(self) -> str:
        """Say what is seen, as the reason of a decision."""
        silence = ", its heartbeat stands still" if self.silent else ""
        return f"Its flow run is {self.flow_run}, its process {self.process}{silence}."


def observe(
    ledger: Ledger,
    entries: Iterable[LedgerEntry],
    liveness: Callable[[ProcessIdentity], Liveness],
) -> list[Observation]:
    """Look at the flow run and the process of each entry."""
    flow_runs = ledger.flow_runs({entry.flow_run_id for entry in entries})
    return [
        Observation(
            entry,
            flow_run_status(entry, flow_runs.get(entry.flow_run_id)),
            liveness(entry.process),
        )
        for entry in entries
    ]


class Reaper:
    """
    Release every session of the ledger that nobody else will release.

    Args:
        ledger: Knows the open sessions and the flow runs.
        liveness: Tells whether a process is there.
        releaser: Releases one session.
    """

    def __init__(
        self,
        ledger: Ledger,
        liveness: Callable[[ProcessIdentity], Liveness],
        releaser: Releaser,
    ) -> None:
        self._ledger = ledger
        self._liveness = liveness
        self._releaser = releaser

    def reap(
        self,
        wait: Callable[[float], object],
        patience_seconds: float,
        now: datetime,
        flow_run_id: UUID | None = None,
    ) -> list[Reaped]:
        """
        Look at all entries, or at those of one flow run, and act; return what came of each.

        Args:
            wait: Waits so many seconds; called at most once, and only if silence would decide.
            patience_seconds: How long a heartbeat may stand still; longer than its interval.
            now: The time; a session that is kept past its deadline may be over long since.
            flow_run_id: The flow run, or root flow run, of the entries.

        Raises:
            LedgerUnavailable: There is no list of open sessions; nothing has been done.
        """
        reaped: list[Reaped] = []
        doubtful: list[Observation] = []
        for observation in self._look(self._ledger.entries(flow_run_id)):
            if observation.decision is not ReaperDecision.KEEP:
                reaped.append(self._act(observation))
            elif replace(observation, silent=True).decision is not ReaperDecision.KEEP:
                doubtful.append(observation)
            elif observation.process is Liveness.UNKNOWN and observation.entry.deadline < now:
                # Its machine died, say, and nobody called the flow run crashed. The service has
                # ended the session by itself then, and says so.
                reaped.append(self._releaser.forget_if_over(observation.entry, str(observation)))
            else:
                reaped.append(_kept(observation))
        if doubtful:
            wait(patience_seconds)
            reaped += self._reap_silent(doubtful, flow_run_id)
        return reaped

    def _reap_silent(self, doubtful: list[Observation], flow_run_id: UUID | None) -> list[Reaped]:
        try:
            later = {entry.session_id: entry for entry in self._ledger.entries(flow_run_id)}
        except LedgerUnavailable as error:
            return [Reaped(it.entry, None, ReleaseResult.FAILED, str(error)) for it in doubtful]
        return [
            self._act(replace(observation, silent=True))
            if same_sign_of_life(observation.entry, later.get(observation.entry.session_id))
            else _kept(observation)
            for observation in doubtful
        ]

    def _act(self, before: Observation) -> Reaped:
        """Look again, and do what is right now."""
        try:
            entry = self._ledger.find(before.entry.session_id)
            if entry is None:
                return Reaped(
                    before.entry, None, ReleaseResult.OVER, "It has left the ledger meanwhile."
                )
            [now] = self._look([entry])
        except LedgerUnavailable as error:
            return Reaped(before.entry, None, ReleaseResult.FAILED, str(error))
        now = replace(now, silent=before.silent and same_sign_of_life(before.entry, entry))
        if now.decision is ReaperDecision.KEEP:
            return _kept(now)
        return self._releaser.release(entry, Release(now.decision.value), str(now))

    def _look(self, entries: list[LedgerEntry]) -> list[Observation]:
        return observe(self._ledger, entries, self._liveness)


def _kept(observation: Observation) -> Reaped:
    return Reaped(observation.entry, None, ReleaseResult.KEPT, str(observation))
