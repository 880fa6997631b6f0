"""
Release sessions that were left open, from any process that can reach the Prefect API.

It needs nothing of the process that opened them: the ledger names them, and the saved credentials
block is the way to the service.
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from uuid import UUID

from prefect_qsession.credentials import QiskitRuntimeCredentials
from prefect_qsession.ibm.records import RuntimeInstance
from prefect_qsession.prefect_api.blocks import load_block
from prefect_qsession.release.ledger import PrefectLedger
from prefect_qsession.release.processes import liveness
from prefect_qsession.release.reaping import Reaper
from prefect_qsession.release.records import LedgerEntry
from prefect_qsession.release.release_notices import tell_released
from prefect_qsession.release.releasing import Reaped, Releaser
from prefect_qsession.reporting.run_events import ReleasedBy
from prefect_qsession.settings import QSessionSettings
from prefect_qsession.states import Release

PATIENCE_HEARTBEATS = 2.5
"""A heartbeat may be late, and one may be lost."""


def reap_sessions(
    *,
    flow_run_id: UUID | None = None,
    patience_seconds: float | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> list[Reaped]:
    """
    Release every recorded session that nobody else will release: its flow run is over, or its
    process is gone.

    Safe to run as often as wanted, anywhere, and beside other reapers. One session that cannot be
    released does not keep the others open. Whatever is about to be released is looked at once more.

    Args:
        flow_run_id: Only the sessions of this flow run and of its subflows.
        patience_seconds: How long the heartbeat from a machine that cannot be seen from here must
            stand still; two and a half heartbeats if left out. Waited for only if it decides.
        wait: Waits so many seconds.

    Returns:
        What came of each session but those that are rightly open.

    Raises:
        LedgerUnavailable: The Prefect API does not tell which sessions are open.
    """
    if patience_seconds is None:
        patience_seconds = PATIENCE_HEARTBEATS * QSessionSettings().heartbeat_every
    ledger = PrefectLedger()
    reaper = Reaper(ledger, liveness, Releaser(ledger, connect))
    found = reaper.reap(wait, patience_seconds, datetime.now(UTC), flow_run_id)
    # Not before the last is released: what is told may take its time.
    tell_released(found, ReleasedBy.REAPER)
    return [reaped for reaped in found if not reaped.is_rightly_open]


def release_recorded(
    entries: Iterable[LedgerEntry], outcome: Release, by: ReleasedBy = ReleasedBy.COMMAND
) -> list[Reaped]:
    """
    Release the sessions of these entries, whatever their flow runs do, and forget them.

    Never raises an `Exception`: what could not be released is told in the answer.
    """
    releaser = Releaser(PrefectLedger(), connect)
    found = [releaser.release(entry, outcome, "It was asked for.") for entry in entries]
    tell_released(found, by)
    return found


def connect(block_name: str) -> RuntimeInstance:
    """
    Return the instance of the service that a saved credentials block is for.

    Raises:
        ConfigurationError: The block or its instance is not known.
        ServiceError: The service refuses the key, or cannot be reached.
    """
    from prefect_qsession.ibm.released import ServiceInstance  # noqa: PLC0415 - slow to import

    return ServiceInstance(load_block(QiskitRuntimeCredentials, block_name).get_service())
