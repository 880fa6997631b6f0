"""One IBM Quantum session per Prefect flow run: opened at the first job, never left open."""

from typing import TYPE_CHECKING, Any

from prefect_qsession.credentials import QiskitRuntimeCredentials
from prefect_qsession.decorators import session_flow
from prefect_qsession.records import LeastBusy
from prefect_qsession.task_runners import SessionTaskRunner

if TYPE_CHECKING:
    from prefect_qsession.primitives import (
        current_backend,
        current_session,
        estimator,
        executor,
        sampler,
    )

__all__ = [
    "LeastBusy",
    "QiskitRuntimeCredentials",
    "SessionTaskRunner",
    "current_backend",
    "current_session",
    "estimator",
    "executor",
    "sampler",
    "session_flow",
]

_PRIMITIVES = frozenset({"current_backend", "current_session", "estimator", "executor", "sampler"})


def __getattr__(name: str) -> Any:
    # Prefect imports every collection to register its blocks; Qiskit takes seconds to import, so
    # what needs it is fetched when it is asked for.
    if name in _PRIMITIVES:
        from prefect_qsession import primitives  # noqa: PLC0415

        return getattr(primitives, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
