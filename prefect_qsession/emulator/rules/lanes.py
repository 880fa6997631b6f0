"""
What becomes of a job in an execution lane: its classical part, the QPU, the end.

A device has a few lanes. The classical parts of the jobs in them overlap; the QPU takes one job at
a time, whoever was ready first. The rules are those of IBM's execution-modes-faq and monitor-job
guides: a job is Running from its classical part on, and waits for the QPU without using it.
"""

from collections.abc import Callable

from prefect_qsession.emulator.rules.endings import Ending, ending
from prefect_qsession.emulator.rules.qpus import Qpu, TenantJob
from prefect_qsession.emulator.rules.simulation import Outcome
from prefect_qsession.emulator.rules.states import JobState
from prefect_qsession.emulator.rules.timers import Timers
from prefect_qsession.emulator.rules.workloads import Job
from prefect_qsession.emulator.settings import EmulatorSettings


class Lanes:
    """
    Takes jobs through the lanes of every device.

    *end* is called with a job of ours that has had its QPU time, how it ends and when;
    *tenant_left* when one of another tenant is over. Who enters, the scheduler decides.
    """

    def __init__(
        self,
        settings: EmulatorSettings,
        timers: Timers,
        end: Callable[[Job, Ending, float], None],
        tenant_left: Callable[[Qpu, float], None],
    ) -> None:
        self._settings = settings
        self._timers = timers
        self._end = end
        self._tenant_left = tenant_left

    def is_open(self, qpu: Qpu) -> bool:
        """Tell whether one more job may enter."""
        return not qpu.is_taken_by_tenant and len(qpu.lanes) < self._settings.execution_lanes

    def enter(self, qpu: Qpu, job: Job, now: float) -> None:
        """Begin a job's classical part."""
        qpu.lanes.append(job)
        classical_seconds = self._settings.timing.classical_seconds
        if classical_seconds:
            job.next_step = self._timers.schedule(
                now + classical_seconds, lambda at: self._be_ready(qpu, job, at)
            )
        else:
            self._be_ready(qpu, job, now)

    def enter_tenant(self, qpu: Qpu, tenant: TenantJob, now: float) -> None:
        """Give the whole device to a job of another tenant."""
        qpu.lanes.append(tenant)
        qpu.holder = tenant

        def leave(at: float) -> None:
            self.leave(qpu, tenant, at)
            self._tenant_left(qpu, at)

        self._timers.schedule(now + tenant.seconds, leave)

    def leave(self, qpu: Qpu, work: Job | TenantJob, now: float) -> None:
        """Free the lane of a job, and the QPU for whoever is ready."""
        qpu.lanes.remove(work)
        if isinstance(work, Job):
            if work.next_step is not None:
                work.next_step.cancel()
            if work in qpu.ready:
                qpu.ready.remove(work)
        if qpu.holder is work:
            qpu.holder = None
            self._use_qpu(qpu, now)

    def computed(self, job: Job, outcome: Outcome, now: float) -> None:
        """
        Take the result of a running job; with it, it is known how long the job holds the QPU.

        A result for a job that runs no more is dropped.
        """
        if job.state is not JobState.RUNNING:
            return
        job.outcome = outcome
        if job.qpu_started is not None:
            self._hold_qpu(job, outcome, job.qpu_started, now)

    def _be_ready(self, qpu: Qpu, job: Job, now: float) -> None:
        qpu.ready.append(job)
        self._use_qpu(qpu, now)

    def _use_qpu(self, qpu: Qpu, now: float) -> None:
        if qpu.holder is not None or not qpu.ready:
            return
        qpu.holder = job = qpu.ready.popleft()
        job.qpu_started = now
        if job.outcome is not None:
            self._hold_qpu(job, job.outcome, now, now)

    def _hold_qpu(self, job: Job, outcome: Outcome, started: float, now: float) -> None:
        end = ending(self._settings, job, outcome, started)
        job.qpu_seconds = end.qpu_seconds
        job.next_step = self._timers.schedule(
            max(started + end.qpu_seconds, now), lambda at: self._end(job, end, at)
        )
