"""One IBM Quantum session per Prefect flow run: opened at the first job, never left open."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_qsession.config.backends import LeastBusy
    from prefect_qsession.credentials import QiskitRuntimeCredentials
    from prefect_qsession.decorators import session_flow
    from prefect_qsession.policies import SessionPolicy
    from prefect_qsession.primitives import (
        current_backend,
        current_session,
        estimator,
        executor,
        sampler,
    )
    from prefect_qsession.reaper import reap_sessions
    from prefect_qsession.retries import retry_if_it_can_help
    from prefect_qsession.task_runners import SessionTaskRunner
    from prefect_qsession.tracking import track

__all__ = [
    "LeastBusy",
    "QiskitRuntimeCredentials",
    "SessionPolicy",
    "SessionTaskRunner",
    "current_backend",
    "current_session",
    "estimator",
    "executor",
    "reap_sessions",
    "retry_if_it_can_help",
    "sampler",
    "session_flow",
    "track",
]

_HOMES = {
    "LeastBusy": "config.backends",
    "QiskitRuntimeCredentials": "credentials",
    "SessionPolicy": "policies",
    "SessionTaskRunner": "task_runners",
    "current_backend": "primitives",
    "current_session": "primitives",
    "estimator": "primitives",
    "executor": "primitives",
    "reap_sessions": "reaper",
    "retry_if_it_can_help": "retries",
    "sampler": "primitives",
    "session_flow": "decorators",
    "track": "tracking",
}


def __getattr__(name: str) -> Any:
    # Each name is fetched when it is asked for: Qiskit takes seconds to import and Prefect one, and
    # the emulator's processes, which pass through here, need neither.
    if name in _HOMES:
        return getattr(import_module(f"prefect_qsession.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
