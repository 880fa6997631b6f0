"""What became of one session, or of what it needs around it."""

from prefect_qsession.exceptions.base import QSessionError


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
