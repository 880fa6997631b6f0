"""What was asked for cannot work: known before a session opens."""

from collections.abc import Iterable

from prefect_qsession.exceptions.base import QSessionError


class ConfigurationError(QSessionError):
    """What was asked for cannot work; known before a session opens, so nothing has been paid."""


class UnknownBlock(ConfigurationError):
    """No block of that kind and name is saved in the Prefect API."""

    def __init__(self, block_name: str, kind: str = "QiskitRuntimeCredentials") -> None:
        super().__init__(
            f"No {kind} block named {block_name!r} is saved in this Prefect API. "
            f"Save one with {kind}(...).save({block_name!r}) or in the UI under "
            "Blocks, or name one that `prefect block ls` shows."
        )
        self.block_name = block_name


class InvalidBlock(ConfigurationError):
    """A saved block does not hold what this version needs."""

    def __init__(self, block_name: str, kind: str = "QiskitRuntimeCredentials") -> None:
        super().__init__(
            f"The saved {kind} block {block_name!r} lacks a field, or holds one "
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


class NoLegacyPrimitives(ConfigurationError):
    """`legacy=True` was asked for, and the installed client has those primitives no more."""

    def __init__(self, primitive: str) -> None:
        super().__init__(
            f"The installed qiskit-ibm-runtime has no legacy {primitive} any more: take the one "
            "without legacy=True, whose pre- and post-processing is done here, or install an older "
            "qiskit-ibm-runtime."
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


class InvalidSetting(ConfigurationError):
    """An option of a session flow, or the setting of its name, that is not of the right kind."""

    def __init__(self, name: str, value: object, wanted: str) -> None:
        super().__init__(f"{name} {value!r} is not {wanted}")
        self.name = name
        self.value = value


class InvalidMaxTime(InvalidSetting):
    """A `max_time` that is no duration, or not a positive one."""


class UnknownLimit(ConfigurationError):
    """The Prefect API has no global concurrency limit of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"This Prefect API has no global concurrency limit {name!r}. Create it, as in "
            f"`prefect gcl create {name} --limit 2`, or leave concurrency_limit out."
        )
        self.name = name


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
