"""What holds for the session of a flow run, once code, block and settings are read."""

from dataclasses import dataclass

from prefect_qsession.config.modes import Mode


@dataclass(frozen=True)
class ResolvedPolicy:
    """How the session of a flow run is opened, held and let go; durations in seconds."""

    max_time_seconds: int
    """The service ends the session this long after its first job started."""
    mode: Mode
    fallback: tuple[Mode, ...]
    """What `Mode.AUTO` tries after a session, in this order."""
    qpu_budget_seconds: int | None
    """What all jobs of the flow run together may be charged; None for no cap."""
    session_budget_seconds: int | None
    """What all sessions of the flow run together may be billed; None for no cap."""
    idle_release_seconds: int | None
    """The session is released when it has had no job for this long; None for never."""
    reattaches: bool
    """A later attempt takes up the jobs of earlier ones."""
    reopenings: int
    """How often a session that the service ended is opened anew."""
    packing_window_seconds: float | None
    """Requests of one PUB that come within this time go together as one job; None for never."""
    concurrency_limit: str | None
    """Name of the Prefect global concurrency limit that an open session takes a slot of."""
    keep_for_retry_seconds: float
    """Kept for the flow run's next attempt if that begins within this time, else closed."""
    release_within_seconds: float
    """How long a release that fails is repeated before it is left to the guardian or the reaper."""
    long_queue_seconds: float
    """Who waits longer than this in the queue is told of."""
    questions_per_second: float
    """How often all its jobs together are asked how they stand, at the most."""
    monitor_every_seconds: float
    """How often the flow run's state is read, to notice a cancellation from outside."""
    heartbeat_every_seconds: float
    require_ledger: bool
    """Refuse to use a session that cannot be recorded."""
