"""What holds for the session of a flow run, once code, block and settings are read."""

from dataclasses import dataclass

from prefect_qsession.config.modes import Mode


@dataclass(frozen=True)
class ResolvedPolicy:
    """All that holds for a flow run: its options, and what `QSessionSettings` says beside them."""

    mode: Mode
    fallback: tuple[Mode, ...]
    max_time_seconds: int
    qpu_budget_seconds: int | None
    session_budget_seconds: int | None
    idle_release_seconds: int | None
    concurrency_limit: str | None
    reopen: int
    reattach: bool
    pack_seconds: float | None

    keep_for_retry_seconds: float
    release_within_seconds: float
    slot_within_seconds: float
    long_queue_seconds: float
    questions_per_second: float
    monitor_every_seconds: float
    heartbeat_every_seconds: float
    require_ledger: bool
