"""A device's processor, its execution lanes, and the line before them."""

from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

from prefect_qsession.emulator.rules.devices import Device
from prefect_qsession.emulator.rules.workloads import Job, Session
from prefect_qsession.emulator.settings import QueueSettings


@dataclass(eq=False, slots=True)
class TenantJob:
    """A job of somebody else. It has the device to itself for as long as it says."""

    seconds: float
    is_exclusive: ClassVar[bool] = True


@dataclass(eq=False, slots=True)
class Qpu:
    """
    A device's processor, its lanes, and the line before them.

    A session stands in line once for its jobs. *lanes* are the jobs that run, of which *ready* wait
    for the QPU and *holder* has it.
    """

    device: Device
    tenants: QueueSettings
    line: deque[TenantJob | Job | Session] = field(default_factory=deque)
    lanes: list[TenantJob | Job] = field(default_factory=list)
    ready: deque[Job] = field(default_factory=deque)
    holder: TenantJob | Job | None = None
    window: Session | None = None
    batches: list[Session] = field(default_factory=list)

    @property
    def is_taken_by_tenant(self) -> bool:
        """Whether a job of somebody else has the device to itself."""
        return isinstance(self.holder, TenantJob)

    def queue_length(self) -> int:
        """Return how many jobs wait for a lane, whoever's they are."""
        in_line = sum(len(x.waiting) if isinstance(x, Session) else 1 for x in self.line)
        admitted = self.batches if self.window is None else [*self.batches, self.window]
        return in_line + sum(len(workload.waiting) for workload in admitted)

    def has_waits(self) -> bool:
        """Tell whether a job of ours is in a lane, or waits while somebody else's is."""
        if not self.is_taken_by_tenant:
            return bool(self.lanes)
        in_line = any(not isinstance(x, TenantJob) for x in self.line)
        return in_line or any(batch.waiting for batch in self.batches)

    def join_line(self, workload: Job | Session) -> None:
        """Queue behind the other tenants."""
        ahead = (TenantJob(self.tenants.seconds_each) for _ in range(self.tenants.jobs_ahead))
        self.line.extend((*ahead, workload))

    def leave_line(self, workload: Job | Session) -> None:
        """Give up the place in line, if there is one."""
        if workload in self.line:
            self.line.remove(workload)

    def next_in_line(self, now: float) -> TenantJob | Job | Session:
        """
        Return whose turn it is.

        Fair share: a turn that is ours goes to the instance that has used the least of its
        allocation, and there to what came first. The turns of other tenants stay where they are.
        """
        if isinstance(first := self.line[0], TenantJob):
            return first
        ours = [x for x in self.line if not isinstance(x, TenantJob)]
        shares = {account: account.used_share(now) for account in {x.account for x in ours}}
        return min(ours, key=lambda workload: shares[workload.account])

    def take_turn(self, following: TenantJob | Job | Session) -> None:
        """Take whose turn it is out of the line; who is overtaken keeps the order among us."""
        if following is self.line[0]:
            self.line.popleft()
            return
        ours = iter([x for x in self.line if not isinstance(x, TenantJob) and x is not following])
        self.line = deque(
            x if isinstance(x, TenantJob) else next(ours) for x in list(self.line)[1:]
        )

    def release(self, session: Session) -> None:
        """End a session's or batch's hold on the device."""
        if self.window is session:
            self.window = None
        if session in self.batches:
            self.batches.remove(session)
