"""What holds for the session of a flow run, once code, block and settings are read."""

from dataclasses import dataclass

from prefect_qsession.config.options import ResolvedOptions


@dataclass(frozen=True)
class ResolvedPolicy(ResolvedOptions):
    """All that holds for a flow run: its options, and what `QSessionSettings` says beside them."""

    keep_for_retry_seconds: float
    release_within_seconds: float
    long_queue_seconds: float
    questions_per_second: float
    monitor_every_seconds: float
    heartbeat_every_seconds: float
    require_ledger: bool
