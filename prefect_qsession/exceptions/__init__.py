"""
Every error this package raises: what happened, to which id, and what to do.

Families end in `Error`, leaves state the fact. `ConfigurationError` is found before a session opens
and costs nothing; `SessionError` is about one session; `ServiceError` is what the Runtime service,
or the way to it, did; `JobError` is what became of one job, with the service's own reason in it.
All tell by `retryable` whether the same request may succeed later.
"""

from prefect_qsession.exceptions.base import (
    IllegalTransition,
    QSessionError,
)
from prefect_qsession.exceptions.configuration import (
    BackendOffline,
    ConfigurationError,
    IncompleteEnvironment,
    InvalidBlock,
    InvalidMaxTime,
    InvalidOperator,
    InvalidOptions,
    InvalidSetting,
    MissingCredentials,
    NoLegacyPrimitives,
    NotISA,
    UnknownBackend,
    UnknownBlock,
    UnknownInstance,
    UnknownLimit,
)
from prefect_qsession.exceptions.jobs import (
    JobCancelled,
    JobError,
    JobFailed,
    ResultNotReady,
)
from prefect_qsession.exceptions.service import (
    ServiceError,
    ServiceUnavailable,
    SessionRefused,
    Unauthorized,
)
from prefect_qsession.exceptions.sessions import (
    BudgetExceeded,
    GuardianUnavailable,
    LedgerUnavailable,
    NotInSessionFlow,
    NotReleasable,
    OwnerSilent,
    SessionError,
    SessionLost,
    SessionNotOpen,
    SlotUnavailable,
    UnknownSession,
)

__all__ = [
    "BackendOffline",
    "BudgetExceeded",
    "ConfigurationError",
    "GuardianUnavailable",
    "IllegalTransition",
    "IncompleteEnvironment",
    "InvalidBlock",
    "InvalidMaxTime",
    "InvalidOperator",
    "InvalidOptions",
    "InvalidSetting",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "LedgerUnavailable",
    "MissingCredentials",
    "NoLegacyPrimitives",
    "NotISA",
    "NotInSessionFlow",
    "NotReleasable",
    "OwnerSilent",
    "QSessionError",
    "ResultNotReady",
    "ServiceError",
    "ServiceUnavailable",
    "SessionError",
    "SessionLost",
    "SessionNotOpen",
    "SessionRefused",
    "SlotUnavailable",
    "Unauthorized",
    "UnknownBackend",
    "UnknownBlock",
    "UnknownInstance",
    "UnknownLimit",
    "UnknownSession",
]
