"""
Every error this package raises: what happened, to which id, and what to do.

Families end in `Error`, leaves state the fact. `ConfigurationError` is found before a session opens
and costs nothing; `SessionError` is about one session; `ServiceError` is what the Runtime service,
or the way to it, did. A job that fails on the backend is none of these: the client's own error
passes through.
"""

from collections.abc import Iterable


class QSessionError(Exception):
    """Base of every error of this package."""


class ConfigurationError(QSessionError):
    """What was asked for cannot work; known before a session opens, so nothing has been paid."""


class UnknownBlock(ConfigurationError):
    """No credentials block of that name is saved in the Prefect API."""

    def __init__(self, block_name: str) -> None:
        super().__init__(
            f"No QiskitRuntimeCredentials block named {block_name!r} is saved in this Prefect API. "
            f"Save one with QiskitRuntimeCredentials(...).save({block_name!r}) or in the UI under "
            "Blocks, or name one that `prefect block ls` shows."
        )
        self.block_name = block_name


class InvalidBlock(ConfigurationError):
    """The saved credentials block does not hold what this version needs."""

    def __init__(self, block_name: str) -> None:
        super().__init__(
            f"The saved QiskitRuntimeCredentials block {block_name!r} lacks a field, or holds one "
            "of the wrong kind. Open it in the UI under Blocks and fill it in anew."
        )
        self.block_name = block_name


class InvalidOptions(ConfigurationError):
    """Options that are not those of the primitive they were given to."""

    def __init__(self, primitive: str, problem: str) -> None:
        super().__init__(
            f"These are no options of {primitive}: {problem} Give a mapping, or the client's own "
            "options object for this primitive and generation."
        )
        self.primitive = primitive


class MissingCredentials(ConfigurationError):
    """Neither the code nor the settings name the credentials to use."""

    def __init__(self) -> None:
        super().__init__(
            "No credentials were given. Name a saved block, as in "
            "session_flow('ibm-premium', ...), or set PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS."
        )


class IncompleteEnvironment(ConfigurationError):
    """An environment that should describe a Runtime account lacks a variable."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            f"The environment variable {variable} is not set, so it describes no Runtime account. "
            "Set it, or pass the fields to QiskitRuntimeCredentials(...) directly."
        )
        self.variable = variable


class InvalidMaxTime(ConfigurationError):
    """A `max_time` that is no duration, or not a positive one."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"max_time {value!r} is not a duration of at least one second. "
            "Give text such as '2h 30m' or '45s', whole seconds, or a timedelta."
        )
        self.value = value


class UnknownInstance(ConfigurationError):
    """The API key gives no access to the instance."""

    def __init__(self, instance: str) -> None:
        super().__init__(
            f"The API key gives no access to an instance {instance!r}. Check the CRN or name in "
            "the credentials block, or use an API key of the account that owns the instance."
        )
        self.instance = instance


class UnknownBackend(ConfigurationError):
    """The instance has no such backend, or none that passes the filters."""

    def __init__(self, wanted: str, available: Iterable[str]) -> None:
        names = ", ".join(sorted(available)) or "none"
        super().__init__(f"No backend matches {wanted}. Available in this instance: {names}.")
        self.wanted = wanted


class BackendOffline(ConfigurationError):
    """The backend exists but takes no jobs now."""

    def __init__(self, backend_name: str, status: str) -> None:
        super().__init__(
            f"Backend {backend_name!r} takes no jobs now (status: {status}). "
            "Wait until it is back, or use another one, for example backend=LeastBusy()."
        )
        self.backend_name = backend_name
        self.status = status


class NotISA(ConfigurationError):
    """A circuit uses gates or qubits that the backend does not have."""

    def __init__(self, circuit_name: str, backend_name: str, reason: str) -> None:
        super().__init__(
            f"Circuit {circuit_name!r} is not an ISA circuit of {backend_name!r}: {reason.strip()} "
            "Transpile it for the backend first: "
            "generate_preset_pass_manager(backend=current_backend()).run(circuit)."
        )
        self.circuit_name = circuit_name
        self.backend_name = backend_name


class InvalidOperator(ConfigurationError):
    """An operator that cannot be read, or is not what the flow needs."""

    def __init__(self, source: str, problem: str, advice: str) -> None:
        super().__init__(f"Operator {source}: {problem} {advice}")
        self.source = source


class SessionError(QSessionError):
    """Something about one session; `session_id` is None where there is none yet."""

    def __init__(self, message: str, session_id: str | None = None) -> None:
        super().__init__(message)
        self.session_id = session_id


class NotInSessionFlow(SessionError):
    """A primitive was asked for where no session flow runs."""

    def __init__(self, asked_for: str, reason: str = "no session flow is running here") -> None:
        super().__init__(
            f"{asked_for} has no session to run in: {reason}. Call it from a flow decorated with "
            "@session_flow(...) or @flow(task_runner=SessionTaskRunner(...)), or from one of its "
            "tasks or subflows."
        )


class SessionNotOpen(SessionError):
    """The flow run has released its session already; it takes no more jobs."""

    def __init__(self, session_id: str | None, state: str) -> None:
        name = f"Session {session_id}" if session_id else "This flow run's session"
        super().__init__(
            f"{name} is {state} and takes no more jobs: the flow run is ending. "
            "Wait for submitted tasks, with .result() or wait(), before the flow returns.",
            session_id,
        )
        self.state = state


class SessionLost(SessionError):
    """The service ended the session while the flow run still needed it."""

    def __init__(self, session_id: str | None, reason: str) -> None:
        super().__init__(
            f"The service ended session {session_id}: {reason} "
            "Give it a longer max_time, or less to do between jobs.",
            session_id,
        )


class ServiceError(QSessionError):
    """
    The Runtime service refused or failed a request, or could not be reached.

    `status_code` is the HTTP status, None where it is not known; `code` is IBM's error code, None
    where the reply had none; `retryable` tells whether the same request may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.retryable = retryable


class Unauthorized(ServiceError):
    """The service does not accept the API key, or the key may not do this."""


class SessionRefused(ServiceError):
    """The service would not open a session: the plan, a limit or the backend does not allow it."""


class ServiceUnavailable(ServiceError):
    """The service could not be reached, or failed inside."""


class IllegalTransition(QSessionError):
    """A state was asked to do what its table does not allow: a defect of ours, please report it."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(
            f"A session that is {state} cannot {event}. This is a defect of prefect-qsession: "
            "please report it with the log of the flow run."
        )
        self.state = state
        self.event = event
