"""From an account to a backend that takes jobs, and to a session on it."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from ibm_cloud_sdk_core import ApiException
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService, Session
from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError
from qiskit_ibm_runtime.exceptions import IBMInputValueError

from prefect_qsession.exceptions import (
    BackendOffline,
    ServiceUnavailable,
    Unauthorized,
    UnknownBackend,
    UnknownInstance,
)
from prefect_qsession.gateway.errors import refused_as_session_refused, translated
from prefect_qsession.gateway.sessions import GatewaySession
from prefect_qsession.records import LeastBusy, RuntimeAccount

_environment_lock = Lock()


def connect(account: RuntimeAccount) -> QiskitRuntimeService:
    """
    Return a service that is ready for requests; its key and instance have been accepted.

    Raises:
        Unauthorized: The API key is not accepted.
        UnknownInstance: The key gives no access to the instance.
        ServiceUnavailable: The service could not be reached.
    """
    locations = {
        "IAM_URL": account.auth_url,
        "GLOBAL_SEARCH_URL": account.search_url,
        "GLOBAL_CATALOG_URL": account.catalog_url,
    }
    with (
        translated("connect to the Runtime service"),
        _environment(locations),
        _without_the_warning_of_a_given_key(),
    ):
        try:
            return QiskitRuntimeService(
                channel=account.channel,
                token=account.api_key,
                instance=account.instance,
                url=account.runtime_url,
                url_resolver=_verbatim if account.runtime_url else None,
                proxies=dict(account.proxies) if account.proxies else None,
                verify=account.verify,
            )
        except IBMInputValueError as error:
            raise UnknownInstance(account.instance) from error
        except InvalidAccountError as error:
            raise _account_error(error) from error


class Runtime:
    """
    The Runtime service as one flow run uses it: one account, one backend, chosen once and kept.

    Nothing is asked of the service until it is needed. Every method is thread-safe.
    """

    def __init__(
        self, get_service: Callable[[], QiskitRuntimeService], backend: str | LeastBusy
    ) -> None:
        """
        Args:
            get_service: Connects; called once, when the backend is first needed.
            backend: The name of a backend, or how to choose one.
        """
        self._get_service = get_service
        self._wanted = backend
        self._backend: IBMBackend | None = None
        self._lock = Lock()

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
                self._backend = self._find_backend(self._get_service())
            return self._backend

    def open_session(self, max_time_seconds: int) -> GatewaySession:
        """
        Ask the service for a session on the backend, to be ended by the service after
        `max_time_seconds`.

        It bills nothing until its first job starts.

        Raises:
            SessionRefused: The plan, a limit or the backend does not allow it.
            ServiceError: As for `connect`.
        """
        backend = self.backend()
        with refused_as_session_refused(), translated(f"open a session on {backend.name}"):
            return GatewaySession(Session(backend=backend, max_time=max_time_seconds))

    def _find_backend(self, service: QiskitRuntimeService) -> IBMBackend:
        with translated(f"find {self._wanted}"):
            if isinstance(self._wanted, LeastBusy):
                return _least_busy(service, self._wanted)
            try:
                backend = service.backend(self._wanted)
            except QiskitBackendNotFoundError as error:
                raise UnknownBackend(repr(self._wanted), _names(service.backends())) from error
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


def _verbatim(url: str, _instance: str, _private: bool | None, _channel: str) -> str:
    # The client's own resolver drops the port and prepends a region.
    return url


@contextmanager
def _environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """
    Set environment variables for a moment, and unset those that are None.

    The client reads these addresses from nowhere else, while a service is constructed. One account
    at a time, those without addresses of their own included: otherwise its key would go to the
    identity service of the account that connects beside it.
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

    client = logging.getLogger("qiskit_ibm_runtime.qiskit_runtime_service")
    client.addFilter(wanted)
    try:
        yield
    finally:
        client.removeFilter(wanted)


def _set_environment(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _account_error(error: InvalidAccountError) -> Unauthorized | ServiceUnavailable:
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
