"""From an account to a backend that takes jobs, and to a session on it."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from ibm_cloud_sdk_core import ApiException
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import Batch, IBMBackend, QiskitRuntimeService, Session
from qiskit_ibm_runtime.exceptions import IBMAccountError, IBMInputValueError

from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import (
    BackendOffline,
    ServiceUnavailable,
    Unauthorized,
    UnknownBackend,
    UnknownInstance,
)
from prefect_qsession.ibm.access import account_access, resolver, service_access
from prefect_qsession.ibm.errors import refused_as_session_refused, translated
from prefect_qsession.ibm.internals import ADDRESS_VARIABLES, tell_if_untested
from prefect_qsession.ibm.records import RuntimeAccount, ServiceAccess
from prefect_qsession.ibm.released import find_session
from prefect_qsession.ibm.transport import install, patient_service
from prefect_qsession.ibm.workloads import JobModeWorkload, RuntimeWorkload, TimedWorkload

_CLIENT_CLASSES = {Mode.SESSION: Session, Mode.BATCH: Batch}

PLATFORM = "quantum.cloud.ibm.com"
"""Where people find what they have at IBM's own service."""

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each further try to connect."""

NO_STACK_WALK = "USAGE_DATA_OPT_OUT"
"""
The client's own switch. Without it the client walks the whole stack in every request, to tell IBM
what has called it; inside Prefect that stack is deep. Set unless the user has said either.
"""

_environment_lock = Lock()


def _renew_lock() -> None:
    """In a fork: a thread of the parent may have held it, and is not there to release it."""
    global _environment_lock  # noqa: PLW0603 - a fork has one thread
    _environment_lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def connect(
    account: RuntimeAccount, *, wait: Callable[[float], object] = time.sleep
) -> QiskitRuntimeService:
    """
    Return a service that is ready for requests; its key and instance have been accepted.

    Asked for again, over some seconds, if the service or the identity service does not answer.

    Args:
        account: Whose, and where.
        wait: Called with the seconds of a pause.

    Raises:
        Unauthorized: The API key is not accepted.
        UnknownInstance: The key gives no access to the instance.
        ServiceUnavailable: The service could not be reached.
    """
    for pause in PAUSES:
        try:
            return _connected(account)
        except ServiceUnavailable:
            wait(pause)
    return _connected(account)


def _connected(account: RuntimeAccount) -> QiskitRuntimeService:
    os.environ.setdefault(NO_STACK_WALK, "True")
    tell_if_untested()
    locations = {
        variable: getattr(account, address) for address, variable in ADDRESS_VARIABLES.items()
    }
    with (
        translated("connect to the Runtime service"),
        _environment(locations),
        _without_the_warning_of_a_given_key(),
    ):
        try:
            service = patient_service(
                account_access(account),
                channel=account.channel,
                token=account.api_key,
                instance=account.instance,
                url=account.runtime_url,
                url_resolver=resolver(account),
                proxies=dict(account.proxies) if account.proxies else None,
                verify=account.verify,
            )
        except IBMInputValueError as error:
            raise UnknownInstance(account.instance) from error
        except IBMAccountError as error:
            raise _account_error(error) from error
    install(service, service_access(service, account))
    return service


class Runtime:
    """
    The Runtime service as one flow run uses it: one account, one backend, chosen once and kept.

    Nothing is asked of the service until it is needed. Every method is thread-safe.

    Args:
        account: Connected with once, when the backend is first needed.
        backend: The name of a backend, or how to choose one.
    """

    def __init__(self, account: RuntimeAccount, backend: str | LeastBusy) -> None:
        self._account = account
        self._wanted = backend
        self._backend: IBMBackend | None = None
        self._lock = Lock()

    @property
    def access(self) -> ServiceAccess:
        """What another process needs to end a session of this account."""
        service: QiskitRuntimeService = self.backend().service
        return service_access(service, self._account)

    def page(self, workload_id: str) -> str | None:
        """Return the page of a session or job on IBM Quantum Platform; None at other services."""
        host = urlsplit(self.access.runtime_url).hostname or ""
        is_there = host == PLATFORM or host.endswith(f".{PLATFORM}")
        return f"https://{PLATFORM}/workloads/{workload_id}" if is_there else None

    def backend(self) -> IBMBackend:
        """
        Return the backend, after a look whether it takes jobs; later calls ask nothing.

        Raises:
            UnknownBackend: The instance has no such backend, or none passes the filters.
            BackendOffline: It takes no jobs now.
            ServiceError: As for `connect`.
        """
        with self._lock:
            if self._backend is None:
                self._backend = find_backend(connect(self._account), self._wanted)
            return self._backend

    def open_session(self, max_time_seconds: int, mode: Mode, run_tag: str) -> RuntimeWorkload:
        """
        Ask the service for a session or batch on the backend; for job mode, nothing is asked.

        It bills nothing until its first job starts.

        Args:
            max_time_seconds: The service ends it this long after its first job started; there is
                nothing to end in job mode.
            mode: Any but `Mode.AUTO`: what to try after a refusal is the caller's decision.
            run_tag: The tag on every job of the flow run, by which job mode finds them again.

        Raises:
            SessionRefused: The plan, a limit or the backend does not allow it.
            ServiceError: As for `connect`.
        """
        backend = self.backend()
        if mode is Mode.JOB:
            return JobModeWorkload(backend, run_tag)
        kind = _CLIENT_CLASSES[mode]
        with refused_as_session_refused(mode), translated(f"open a {mode} on {backend.name}"):
            return TimedWorkload(kind(backend=backend, max_time=max_time_seconds))

    def join_session(self, session_id: str, mode: Mode, run_tag: str) -> RuntimeWorkload | None:
        """
        Return what another process has opened; None if it takes no jobs any more.

        Raises:
            ServiceError: The service did not tell.
        """
        backend = self.backend()
        if mode is Mode.JOB:
            return JobModeWorkload(backend, run_tag)
        session = find_session(backend.service, session_id)
        return session if session is not None and session.details().accepting_jobs else None


def find_backend(service: QiskitRuntimeService, wanted: str | LeastBusy) -> IBMBackend:
    """
    Return the backend, after a look whether it takes jobs.

    Raises:
        UnknownBackend: The instance has no such backend, or none passes the filters.
        BackendOffline: It takes no jobs now.
        ServiceError: The service did not tell.
    """
    with translated(f"find {wanted}"):
        if isinstance(wanted, LeastBusy):
            return _least_busy(service, wanted)
        try:
            backend = service.backend(wanted)
        except QiskitBackendNotFoundError as error:
            # The client says the same if the service did not answer: so ask what has to.
            service.usage()
            raise UnknownBackend(repr(wanted), _names(service.backends())) from error
        status = backend.status()
    if not status.operational:
        raise BackendOffline(backend.name, status.status_msg or "offline")
    return backend


def _least_busy(service: QiskitRuntimeService, wanted: LeastBusy) -> IBMBackend:
    filters = {
        "min_num_qubits": wanted.min_num_qubits,
        "filters": wanted.filters,
        **wanted.attributes,
    }
    try:
        return service.least_busy(**filters)
    except QiskitBackendNotFoundError as error:
        # The client says the same whether none passes the filters or none is online.
        if passing := _names(service.backends(**filters)):
            raise BackendOffline(", ".join(passing), "offline") from error
        raise UnknownBackend(str(wanted), _names(service.backends())) from error


def _names(backends: Iterable[IBMBackend]) -> list[str]:
    return sorted(backend.name for backend in backends)


@contextmanager
def _environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """
    Set environment variables for a moment, and empty those that are None.

    The client reads these addresses from nowhere else, while a service is constructed, and takes an
    empty one for none. One account at a time, those without addresses of their own included:
    otherwise its key would go to the identity service of the account that connects beside it.
    """
    with _environment_lock:
        before = {name: os.environ.get(name) for name in variables}
        _set_environment(variables)
        try:
            yield
        finally:
            _set_environment(before)


@contextmanager
def _without_the_warning_of_a_given_key() -> Iterator[None]:
    """Keep the client from warning, on every run, that an account saved on disk is not used."""

    def wanted(entry: logging.LogRecord) -> bool:
        return "A saved account will not be used" not in entry.getMessage()

    client = logging.getLogger(QiskitRuntimeService.__module__)
    client.addFilter(wanted)
    try:
        yield
    finally:
        client.removeFilter(wanted)


def _set_environment(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        # None is taken away, not even one that was not there: another thread that reads the whole
        # environment, as Prefect does for its settings, would stumble over it (KeyError).
        if (value or "") != os.environ.get(name, ""):
            os.environ[name] = value or ""


def _account_error(error: IBMAccountError) -> Unauthorized | ServiceUnavailable:
    """Tell a refused key from a service that did not answer: the client says the same of both."""
    cause: Any = error.__cause__
    if isinstance(cause, ApiException) and cause.status_code in (400, 401, 403):
        return Unauthorized(
            "Could not connect to the Runtime service: it does not accept the API key. "
            "Check api_key in the credentials block; it may have been revoked.",
            status_code=cause.status_code,
        )
    return ServiceUnavailable(
        "Could not connect to the Runtime service: the account's instances could not be listed "
        f"({type(cause).__name__}). Check the network, proxies and URLs in the credentials block.",
        status_code=getattr(cause, "status_code", None),
        retryable=True,
    )
