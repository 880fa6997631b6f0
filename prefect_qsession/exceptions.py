"""
Every error this package raises: what happened, to which id, and what to do.

Families end in `Error`, leaves state the fact. `ConfigurationError` is found before a session opens
and costs nothing; `SessionError` is about one session; `ServiceError` is what the Runtime service,
or the way to it, did; `JobError` is what became of one job, with the service's own reason in it.
All tell by `retryable` whether the same request may succeed later.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar


class QSessionError(Exception):
    """Base of every error of this package."""

    retryable: bool = False
    """Whether to ask again may help."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Prefect sends errors between processes, and by default pickle would make them anew from
        # the message, which is not what they are made from.
        return restored, (type(self), self.args, self.__dict__)


E = TypeVar("E", bound=QSessionError)


def restored(kind: type[E], args: tuple[Any, ...], attributes: Mapping[str, Any]) -> E:
    """Return an error of this kind with what another one had, be it in another process."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class IllegalTransition(QSessionError):
    """A state was asked to do what its table does not allow: a defect of ours, please report it."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(
            f"A session that is {state} cannot {event}. This is a defect of prefect-qsession: "
            "please report it with the log of the flow run."
        )
        self.state = state
        self.event = event


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


class SessionError(QSessionError):
    """Something about one session; `session_id` is None where there is none yet."""

    def __init__(self, message: str, session_id: str | None = None) -> None:
        super().__init__(message)
        self.session_id = session_id


class NotInSessionFlow(SessionError):
    """A primitive was asked for where no session flow runs."""

    advice = (
        "Call it from a flow decorated with @session_flow(...) or "
        "@flow(task_runner=SessionTaskRunner(...)), or from one of its tasks or subflows."
    )

    def __init__(self, asked_for: str, reason: str = "no session flow is running here") -> None:
        super().__init__(f"{asked_for} has no session to run in: {reason}. {self.advice}")


class ThreadWithoutContext(NotInSessionFlow):
    """A thread that carries no context asked, and several session flow runs are under way."""

    advice = (
        "Make the primitive in the flow or task and hand it to the thread, or let the thread carry "
        "the context: executor.submit(contextvars.copy_context().run, function)."
    )


class InOtherProcess(NotInSessionFlow):
    """A process that was forked or started by the flow's asked for what only that has."""

    advice = (
        "Have a task run there instead, which joins the session: function.submit() in a flow with "
        "@session_flow(..., task_runner=ProcessPoolTaskRunner()). Or use threads."
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
        self.reason = reason


class BudgetExceeded(SessionError):
    """A job was not submitted, because it, or the session, would cost more than was allowed."""

    def __init__(
        self,
        budget: str,
        cap_seconds: float,
        spent_seconds: float,
        estimate_seconds: float,
        session_id: str | None = None,
    ) -> None:
        under_way = (
            f", {estimate_seconds:.1f} s are estimated for this job and those under way"
            if estimate_seconds
            else ""
        )
        super().__init__(
            f"The flow run's {budget} of {cap_seconds:g} s does not allow another job: "
            f"{spent_seconds:.1f} s are spent{under_way} (session {session_id or 'not open'}). "
            f"Raise {budget}, or ask for fewer jobs or shots.",
            session_id,
        )
        self.budget = budget
        self.cap_seconds = cap_seconds
        self.spent_seconds = spent_seconds
        self.estimate_seconds = estimate_seconds


class SlotUnavailable(SessionError):
    """The session that was to be opened got no slot of its concurrency limit."""

    retryable = True

    def __init__(self, limit: str, reason: str) -> None:
        super().__init__(
            f"No slot of concurrency limit {limit!r} could be had: {reason} "
            f"`prefect gcl inspect {limit}` shows how many are taken."
        )
        self.limit = limit


class SlotHeld(SlotUnavailable):
    """The slot is held by a flow run that goes on only after this one: it would never be free."""

    retryable = False

    def __init__(self, limit: str, held_by: Sequence[str]) -> None:
        holders = ", ".join(map(repr, held_by))
        super().__init__(
            limit,
            f"flow run {holders} holds it with an open session, and waits for this one, or shares "
            "an event loop with it that this wait would stop. Let the inner flow be a plain @flow, "
            "which runs in the session of the outer one; release that session before, with "
            "idle_release; raise the limit; or run the flow runs one after the other.",
        )
        self.held_by = tuple(held_by)


class LedgerUnavailable(SessionError):
    """The Prefect API, which keeps the record of open sessions, did not answer or refused."""

    retryable = True

    def __init__(self, doing: str, reason: str, session_id: str | None = None) -> None:
        super().__init__(
            f"Could not {doing} in the ledger of open sessions: {reason} Check that the Prefect "
            "API answers (PREFECT_API_URL, PREFECT_API_KEY). To run without the ledger, on the "
            "guardian and max_time alone, set PREFECT_INTEGRATIONS_QSESSION_REQUIRE_LEDGER=false.",
            session_id,
        )


class GuardianUnavailable(SessionError):
    """The process that cancels sessions when the flow's process dies could not be started."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The guardian could not be started: {reason} If this process is killed, its sessions "
            "stay open until the reaper finds them, or until max_time."
        )


class OwnerSilent(SessionError):
    """The flow's process, which opens the session, does not answer a task in another process."""

    retryable = True

    def __init__(self, flow_run_id: object, seconds: float) -> None:
        super().__init__(
            f"The process of flow run {flow_run_id} has not taken a question for its session for "
            f"{seconds:.0f} s: it has ended, or it or this worker cannot reach the Prefect API. "
            "Check PREFECT_API_URL on the worker; retry the flow run if its process is gone."
        )
        self.flow_run_id = str(flow_run_id)


class NotReleasable(SessionError):
    """A session in the ledger cannot be released from this process."""

    def __init__(self, session_id: str, reason: str) -> None:
        super().__init__(f"Session {session_id} cannot be released from here: {reason}", session_id)


class UnknownSession(SessionError):
    """The ledger has no open session of that id."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"No open session {session_id!r} is in this Prefect API's ledger. "
            "`qsession list` shows those that are.",
            session_id,
        )


class ServiceError(QSessionError):
    """
    The Runtime service refused or failed a request, or could not be reached.

    `status_code` is the HTTP status, None where it is not known; `code` is IBM's error code, None
    where the reply had none; `retryable` tells whether the same request may succeed later, and
    `doubtful` that the service may have done it all the same: look before repeating it.
    `session_id` is the session concerned, None where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: int | None = None,
        retryable: bool = False,
        doubtful: bool = False,
        session_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.retryable = retryable
        self.doubtful = doubtful
        self.session_id = session_id


class Unauthorized(ServiceError):
    """The service does not accept the API key, or the key may not do this."""


class SessionRefused(ServiceError):
    """
    The service would not open a session: the plan, a limit or the backend does not allow it.

    `by_plan` tells whether it is for what the plan allows, which another mode need not meet. An
    outage, a bad key or a used-up allowance would meet it as well, or hide there what has to be
    mended.
    """

    by_plan: bool = False


class ServiceUnavailable(ServiceError):
    """The service could not be reached, or failed inside."""


class JobError(QSessionError):
    """Something about one job; `session_id` is None where the job ran without one."""

    def __init__(self, message: str, job_id: str, session_id: str | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.session_id = session_id


class JobFailed(JobError):
    """
    The job has failed; `reason` is the service's own, `code` IBM's, None where it gave none.

    `lost_with_session` tells whether its session had ended before it could run.
    """

    def __init__(
        self,
        job_id: str,
        session_id: str | None,
        reason: str,
        *,
        code: int | None = None,
        retryable: bool = False,
        lost_with_session: bool = False,
    ) -> None:
        advice = (
            "The cause may pass: ask again."
            if retryable
            else "Another job would meet the same: change what is asked."
        )
        super().__init__(
            f"Job {job_id}{_in_session(session_id)} failed: {reason.strip()} {advice}",
            job_id,
            session_id,
        )
        self.reason = reason
        self.code = code
        self.retryable = retryable
        self.lost_with_session = lost_with_session


class JobCancelled(JobError):
    """The job was cancelled, and has no result."""

    retryable = True

    def __init__(self, job_id: str, session_id: str | None = None) -> None:
        super().__init__(
            f"Job {job_id}{_in_session(session_id)} was cancelled and has no result. "
            "Ask again to have a new job.",
            job_id,
            session_id,
        )


class ResultNotReady(JobError, TimeoutError):
    """The job was not over within the time that `result(timeout=...)` was given."""

    retryable = True

    def __init__(self, job_id: str, session_id: str | None = None) -> None:
        super().__init__(
            f"Job {job_id} is not over yet. Ask for its result again: it goes on meanwhile.",
            job_id,
            session_id,
        )


def _in_session(session_id: str | None) -> str:
    return f" of session {session_id}" if session_id else ""
