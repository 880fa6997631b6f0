"""
What the jobs and sessions of one flow run have cost so far, and whether another job may be asked
for.

Pure: what is charged and billed is told to it, and so is the time.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock

from prefect_qsession.exceptions import BudgetExceeded

WARN_AT = 0.8
"""The share of a cap whose reaching is worth a warning."""

JOB_SECONDS = 2.0
SECONDS_PER_EXECUTION = 0.00035
"""IBM's rule of thumb for what a job costs (docs: estimate-job-run-time)."""


def rule_of_thumb_seconds(executions: int) -> float:
    """Return what a job of so many executions may cost, before anything is known of its like."""
    return JOB_SECONDS + SECONDS_PER_EXECUTION * executions


READ_EVERY = (1.0, 60.0)
"""The shortest and the longest time, in seconds, between two readings of a session's usage."""


class BudgetKind(StrEnum):
    """What is capped, by the name of the option that caps it."""

    QPU = "qpu_budget"
    SESSION = "session_budget"


@dataclass(frozen=True)
class _Reading:
    usage_seconds: float
    at: float
    is_running: bool

    def seconds(self, now: float) -> float:
        """Return the usage at a later time."""
        return self.usage_seconds + (max(now - self.at, 0.0) if self.is_running else 0.0)


class Budget:
    """
    Keep account of one flow run, over all its sessions and attempts; every method is thread-safe.

    Times are seconds of one clock of the caller's that never jumps, as `time.monotonic`.

    Args:
        qpu_seconds: What all jobs together may be charged; None for no cap.
        session_seconds: What all sessions together may be billed; None for no cap.
    """

    def __init__(self, qpu_seconds: float | None, session_seconds: float | None) -> None:
        self._caps = {BudgetKind.QPU: qpu_seconds, BudgetKind.SESSION: session_seconds}
        self._lock = Lock()
        self._charged = 0.0
        self._charged_jobs: set[str] = set()
        self._measured = 0.0
        self._measured_jobs = 0
        self._under_way: dict[Hashable, int] = {}
        self._others_under_way = 0
        self._readings: dict[str, _Reading] = {}
        self._warned: set[BudgetKind] = set()

    def cap_seconds(self, kind: BudgetKind) -> float | None:
        """Return what may be spent; None if it is not capped."""
        return self._caps[kind]

    def spent_seconds(self, kind: BudgetKind, now: float) -> float:
        """Return what is spent, without what jobs under way will cost."""
        with self._lock:
            return self._spent(kind, now)

    def reserve(
        self, request: Hashable, executions: int, now: float, session_id: str | None = None
    ) -> None:
        """
        Keep back what the job of a request will cost, before it is submitted.

        Its cost is estimated as the mean of the jobs charged so far; before the first, by IBM's
        rule of thumb. It fits if all that is spent, under way and estimated stays within the cap.

        Args:
            request: Names the reservation, for `charge` or `give_back` to settle it.
            executions: What is asked for: circuits times shots.
            now: The time.
            session_id: The session that it would run in, for the error message.

        Raises:
            BudgetExceeded: It does not fit, or the session time is spent; nothing is kept back.
        """
        with self._lock:
            self._refuse_beyond_session_time(now, session_id)
            cap = self._caps[BudgetKind.QPU]
            if cap is None:
                return
            spent = self._spent(BudgetKind.QPU, now)
            # Of this very request, whose submission may have been cut off before: once.
            others = {key: it for key, it in self._under_way.items() if key != request}
            under_way = sum(map(self._estimate, others.values()))
            under_way += self._others_under_way * self._estimate(0)
            estimate = under_way + self._estimate(executions)
            # At the cap there is no new job, however little it is estimated to cost.
            if spent + under_way >= cap or spent + estimate > cap:
                raise BudgetExceeded(BudgetKind.QPU, cap, spent, estimate, session_id)
            self._under_way[request] = executions

    def charge(self, request: Hashable, job_id: str, seconds: float | None) -> None:
        """
        Settle a reservation by what its job, which is over, was charged.

        A job counts once, however often it is told, and also if nothing was kept back for it.

        Args:
            request: The reservation; none need be open.
            job_id: The job that answered the request.
            seconds: What the job was charged; None if that is not known: it counts as estimated.
        """
        with self._lock:
            executions = self._under_way.pop(request, 0)
            if job_id in self._charged_jobs:
                return
            self._charged_jobs.add(job_id)
            self._charged += self._estimate(executions) if seconds is None else seconds
            if seconds is not None:
                self._measured += seconds
                self._measured_jobs += 1

    def charge_others(self, charged: Mapping[str, float], under_way: int | None = None) -> None:
        """
        Take in what jobs were charged that nothing was kept back for here.

        Args:
            charged: Seconds by the jobs' ids; a job counts once, however often it is told.
            under_way: How many of them are not settled yet; left out if that was not looked at.
        """
        for job_id, seconds in charged.items():
            self.charge(job_id, job_id, seconds)
        if under_way is not None:
            with self._lock:
                self._others_under_way = under_way

    def is_reserved(self, request: Hashable) -> bool:
        """Whether something is kept back for the job of this request."""
        with self._lock:
            return request in self._under_way

    def is_charged(self, job_id: str) -> bool:
        """Whether what a job was charged is accounted for."""
        with self._lock:
            return job_id in self._charged_jobs

    def give_back(self, request: Hashable) -> None:
        """Settle the reservation of a job that was refused, or costs nothing; safe to repeat."""
        with self._lock:
            self._under_way.pop(request, None)

    def read_session(
        self, session_id: str, usage_seconds: float | None, at: float, *, is_running: bool
    ) -> None:
        """
        Take in what the service says of a session's usage.

        Args:
            session_id: Which session; the flow run may have had others.
            usage_seconds: What is billed by then; None if that is not known: what was read earlier
                goes on from there.
            at: When the service was asked.
            is_running: Whether time goes on being billed: for a session that is active. Not for a
                batch, which bills no time between its jobs, and no longer for one that is released.
        """
        with self._lock:
            if usage_seconds is None:
                known = self._readings.get(session_id)
                usage_seconds = known.seconds(at) if known else 0.0
            self._readings[session_id] = _Reading(usage_seconds, at, is_running)

    def wants_reading(self, now: float) -> bool:
        """Tell whether to ask the service again: the sooner, the less session time is left."""
        left = self.session_seconds_left(now)
        if left is None:
            return False
        with self._lock:
            latest = max((reading.at for reading in self._readings.values()), default=None)
        shortest, longest = READ_EVERY
        return latest is None or now - latest >= min(max(left / 2, shortest), longest)

    def session_seconds_left(self, now: float) -> float | None:
        """Return how much session time may still be billed; None if there is no cap."""
        with self._lock:
            cap = self._caps[BudgetKind.SESSION]
            return None if cap is None else max(cap - self._spent(BudgetKind.SESSION, now), 0.0)

    def is_spent(self, kind: BudgetKind, now: float, share: float = 1.0) -> bool:
        """Whether a cap is spent, or this share of it; never, if there is no cap."""
        with self._lock:
            cap = self._caps[kind]
            return cap is not None and self._spent(kind, now) >= share * cap

    def take_warning(self, kind: BudgetKind) -> bool:
        """Whether it was not said yet that most of a cap is spent; from now on, it was."""
        with self._lock:
            is_new = kind not in self._warned
            self._warned.add(kind)
            return is_new

    def _spent(self, kind: BudgetKind, now: float) -> float:
        if kind is BudgetKind.QPU:
            return self._charged
        return sum(reading.seconds(now) for reading in self._readings.values())

    def _estimate(self, executions: int) -> float:
        if self._measured_jobs:
            return self._measured / self._measured_jobs
        return rule_of_thumb_seconds(executions)

    def _refuse_beyond_session_time(self, now: float, session_id: str | None) -> None:
        cap, spent = self._caps[BudgetKind.SESSION], self._spent(BudgetKind.SESSION, now)
        if cap is not None and spent >= cap:
            raise BudgetExceeded(BudgetKind.SESSION, cap, spent, 0.0, session_id)
