"""
Release sessions that another process opened, from what the ledger says of them.

Pure: it knows the ledger and the service by their ports alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from prefect_qsession.exceptions import (
    ConfigurationError,
    LedgerUnavailable,
    NotReleasable,
    QSessionError,
    ServiceUnavailable,
)
from prefect_qsession.ibm.records import RuntimeInstance
from prefect_qsession.release.records import Ledger, LedgerEntry
from prefect_qsession.states import Release


class ReleaseResult(StrEnum):
    """What came of a session in the ledger."""

    RELEASED = "released"
    """Asked for now, and confirmed by the service."""
    OVER = "over"
    """The service, or the ledger, knew of no open session any more."""
    KEPT = "kept"
    FAILED = "failed"
    """To be tried again: the service, or the ledger, did not do it."""


@dataclass(frozen=True)
class Reaped:
    """What was decided on one session of the ledger, what came of it, and why."""

    entry: LedgerEntry
    outcome: Release | None
    """How it was to be released; None if it was to stay open, or could not be looked at."""
    result: ReleaseResult
    reason: str

    @property
    def is_rightly_open(self) -> bool:
        """Whether the session is open, and should be."""
        return self.result is ReleaseResult.KEPT and self.outcome is None

    @property
    def wants_attention(self) -> bool:
        """Whether the session may be open although it should not be."""
        return (
            self.result in (ReleaseResult.KEPT, ReleaseResult.FAILED) and not self.is_rightly_open
        )

    def __str__(self) -> str:
        """Say it in one line, for a log."""
        aim = f" (to {self.outcome})" if self.outcome else ""
        return (
            f"Session {self.entry.session_id} of flow run {self.entry.flow_run_name!r} is "
            f"{self.result}{aim}. {self.reason}"
        )


class Releaser:
    """
    Release sessions that other processes opened; connect once for each credentials block.

    For one pass, from one thread: a service out of reach is not asked again.

    Args:
        ledger: Where a released session is forgotten, once the service has confirmed.
        connect: From the name of a credentials block to its instance of the service.
    """

    def __init__(self, ledger: Ledger, connect: Callable[[str], RuntimeInstance]) -> None:
        self._ledger = ledger
        self._connect = connect
        self._instances: dict[str, RuntimeInstance | Exception] = {}

    def release(self, entry: LedgerEntry, outcome: Release, why: str) -> Reaped:
        """
        Release the session of an entry and forget it; safe to repeat, and beside others who do.

        Never raises an `Exception`: one session must not keep the others open.
        """
        try:
            result = self._release(entry, outcome)
        except NotReleasable as error:
            return Reaped(entry, outcome, ReleaseResult.KEPT, f"{why} {error}")
        except Exception as error:  # noqa: BLE001 - see above
            return Reaped(entry, outcome, ReleaseResult.FAILED, f"{why} {_plain(error)}")
        try:
            self._ledger.forget(entry.session_id)
        except LedgerUnavailable as error:
            return Reaped(entry, outcome, result, f"{why} {error}")
        return Reaped(entry, outcome, result, why)

    def forget_if_over(self, entry: LedgerEntry, why: str) -> Reaped:
        """
        Forget a session that the service has ended; touch it in no way if it has not.

        Never raises an `Exception`: a session that cannot be asked after is kept.
        """
        try:
            session = self._instance(entry).find(entry.session_id)
            if session is not None and not session.details().is_closed:
                return Reaped(entry, None, ReleaseResult.KEPT, why)
            self._ledger.forget(entry.session_id)
        except Exception as error:  # noqa: BLE001 - see above
            return Reaped(entry, None, ReleaseResult.KEPT, f"{why} {_plain(error)}")
        return Reaped(entry, None, ReleaseResult.OVER, f"{why} The service has ended it.")

    def _release(self, entry: LedgerEntry, outcome: Release) -> ReleaseResult:
        instance = self._instance(entry)
        try:
            session = instance.find(entry.session_id)
            if session is None or session.details().is_closed:
                return ReleaseResult.OVER
            if outcome is Release.CLOSE:
                session.close()
            else:
                session.cancel()
        except ServiceUnavailable as error:
            if error.status_code is None and entry.credentials is not None:
                self._instances[entry.credentials] = error
            raise
        return ReleaseResult.RELEASED

    def _instance(self, entry: LedgerEntry) -> RuntimeInstance:
        name = entry.credentials
        if name is None:
            raise NotReleasable(
                entry.session_id,
                "its flow run used credentials that are not saved as a block. It ends "
                f"{entry.max_time_seconds} s after its first job started.",
            )
        if name not in self._instances:
            try:
                self._instances[name] = self._connect(name)
            except Exception as error:  # noqa: BLE001 - told for each entry that needs the block
                self._instances[name] = error
        instance = self._instances[name]
        if isinstance(instance, ConfigurationError):
            raise NotReleasable(entry.session_id, str(instance)) from instance
        if isinstance(instance, Exception):
            raise instance
        if instance.instance_crn != entry.instance_crn:
            # Asked there, the service would not know the session, and it would be forgotten.
            raise NotReleasable(
                entry.session_id,
                f"the credentials block {name!r} is now for another instance than the one that "
                f"pays for it, {entry.instance_crn}.",
            )
        return instance


def _plain(error: Exception) -> str:
    # Only our own errors are known to hold no secret.
    return str(error) if isinstance(error, QSessionError) else f"{type(error).__name__}."
