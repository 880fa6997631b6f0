"""What a flow run spends, as the service tells it: read when it matters, told when most is gone."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from prefect_qsession.budget.rules import WARN_AT, Budget, BudgetKind
from prefect_qsession.config.modes import Mode
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.exceptions import BudgetExceeded, ServiceError
from prefect_qsession.ibm.records import Workload

if TYPE_CHECKING:
    from qiskit_ibm_runtime import RuntimeJobV2


class Charge(NamedTuple):
    """What is known of a job's charge."""

    job_id: str
    request: str | None
    """Which request it answers, if that is known."""
    seconds: float | None
    """None until it is settled."""


ReadOthers = Callable[[Callable[[str], bool], Collection[str]], Sequence[Charge]]
"""Asks the service what jobs were charged; called with whether a job is accounted for already, and
the jobs that were not settled last time."""


class Spending:
    """
    Keep a flow run within its budgets; every method is thread-safe. Without any, nothing is asked.

    Args:
        policy: Has the budgets.
        tell: Called, once for each budget, with its kind and the seconds spent, when most is.
    """

    def __init__(self, policy: ResolvedPolicy, tell: Callable[[BudgetKind, float], None]) -> None:
        self.budget = Budget(policy.qpu_budget_seconds, policy.session_budget_seconds)
        """What is spent, as far as it is known here, and kept back."""
        self._max_time_seconds = policy.max_time_seconds
        self.counts_qpu = policy.qpu_budget_seconds is not None
        """Whether what jobs are charged matters."""
        self.counts_sessions = policy.session_budget_seconds is not None
        """Whether what sessions are billed matters."""
        self._tell = tell
        self._read_others: ReadOthers | None = None
        self._reading = Lock()
        self._unsettled: set[str] = set()

    def share(self, read_others: ReadOthers) -> None:
        """
        Count what other processes have submitted for the flow run, too, before each new job.

        Processes that look at the same moment do not know of each other's next jobs: the cap may be
        passed by those.

        Args:
            read_others: Asks the service, which is one request as a rule.
        """
        # Without a QPU budget it does not matter what they cost.
        if self.counts_qpu:
            self._read_others = read_others

    def learn(self, charges: Mapping[str, float]) -> None:
        """Take in what jobs were charged, whoever has submitted them."""
        if self.counts_qpu:
            self.budget.charge_others(charges)
            self._look_at(BudgetKind.QPU)

    @property
    def is_shared(self) -> bool:
        """Whether the service is asked for the others' jobs before each new one."""
        return self._read_others is not None

    def warn(self, kind: BudgetKind, spent_seconds: float) -> None:
        """Tell that most of a budget is spent, whichever process has found it, if it was not."""
        if self.budget.take_warning(kind):
            self._tell(kind, spent_seconds)

    def next_max_time_seconds(self) -> int:
        """
        Return how long another session may last: the service itself keeps it within the budget.

        Raises:
            BudgetExceeded: There is no session time left.
        """
        now, cap = time.monotonic(), self.budget.cap_seconds(BudgetKind.SESSION)
        left = self.budget.session_seconds_left(now)
        if cap is None or left is None:
            return self._max_time_seconds
        if left <= 0:
            spent = self.budget.spent_seconds(BudgetKind.SESSION, now)
            raise BudgetExceeded(BudgetKind.SESSION, cap, spent, 0.0)
        return min(self._max_time_seconds, ceil(left))

    def reserve(self, request: str, executions: int) -> None:
        """
        Keep back what a new job will cost.

        Raises:
            BudgetExceeded: There is not enough left.
            ServiceError: It does not tell what other processes have spent.
        """
        if self._read_others is None:
            self.budget.reserve(request, executions, time.monotonic())
            return
        with self._reading:
            found = self._read_others(self.budget.is_charged, self._unsettled)
            others = [it for it in found if not self.budget.is_reserved(it.request)]
            self._unsettled = {it.job_id for it in others if it.seconds is None}
            charged = {it.job_id: it.seconds for it in others if it.seconds is not None}
            self.budget.charge_others(charged, len(self._unsettled))
            self._look_at(BudgetKind.QPU)
            self.budget.reserve(request, executions, time.monotonic())

    def charge(self, request: str, job: "RuntimeJobV2") -> None:
        """Ask what a job that is over was charged, if that counts; as estimated if not known."""
        from prefect_qsession.ibm.jobs import qpu_seconds  # noqa: PLC0415 - slow to import

        if not self.counts_qpu:
            return
        seconds: float | None = None
        with suppress(ServiceError):
            seconds = qpu_seconds(job)
        self.budget.charge(request, job.job_id(), seconds)
        self._look_at(BudgetKind.QPU)

    def charge_session(self, session: Workload) -> None:
        """Ask what a session of an earlier attempt was billed."""
        usage = session.details().usage_seconds
        self.budget.read_session(session.session_id, usage, time.monotonic(), is_running=False)

    def read(self, session: Workload) -> float | None:
        """Ask what an open session has used; None if the service does not tell."""
        details = session.details()
        self.budget.read_session(
            session.session_id,
            details.usage_seconds,
            time.monotonic(),
            is_running=details.is_active and session.mode is Mode.SESSION,
        )
        return details.usage_seconds

    def is_over(self, session: Workload) -> bool:
        """Whether an open session has used up what all may be billed; asks when it is time to."""
        if self.budget.wants_reading(time.monotonic()):
            with suppress(ServiceError):
                self.read(session)
        return self._look_at(BudgetKind.SESSION)

    def session_ended(self, session: Workload) -> None:
        """Bill no more time to a session, whatever was read last."""
        self.budget.read_session(session.session_id, None, time.monotonic(), is_running=False)

    def session_lost(self, session: Workload) -> None:
        """Take in what a session was billed that the service has ended; ask, if that counts."""
        if self.counts_sessions:
            with suppress(ServiceError):
                self.read(session)
        self.session_ended(session)

    def _look_at(self, kind: BudgetKind) -> bool:
        """Tell, once, that most of a budget is spent; return whether all of it is."""
        now = time.monotonic()
        if self.budget.is_spent(kind, now, WARN_AT):
            self.warn(kind, self.budget.spent_seconds(kind, now))
        return self.budget.is_spent(kind, now)
