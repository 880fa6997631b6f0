"""The emulated service of one trial, on the machine's clock, and what its record says."""

from benchmarks.chaos.ways import Draw
from tests.harness.service import fail_releases
from prefect_qsession.emulator import (
    Answer,
    Delay,
    DeviceSettings,
    Drop,
    Emulator,
    EmulatorSettings,
    Fault,
    QueueSettings,
    SessionRecord,
    SimulatorPool,
    TimingSettings,
)

DEVICE = "ibm_manila"
LATE_SECONDS = 3.0

_FAULTS: dict[str, tuple[Answer | Delay | Drop, int]] = {
    "errors": (Answer(503), 3),
    "a lost request": (Drop(), 1),
    "a lost reply": (Drop(after_work=True), 1),
    "a late reply": (Delay(LATE_SECONDS), 1),
}
"""What happens to a release, and to how many of them."""


class Stage:
    """
    A service of one small device.

    Args:
        draw: How long its jobs and its queue take, and how late it answers.
        simulators: What computes the circuits; left running.
    """

    def __init__(self, draw: Draw, simulators: SimulatorPool) -> None:
        self.emulator = Emulator(
            EmulatorSettings(
                devices=(DeviceSettings(DEVICE, "manila"),),
                queue=QueueSettings(jobs_ahead=1, seconds_each=draw.queue_seconds),
                timing=TimingSettings(fixed_seconds=draw.job_seconds),
                seed=draw.number,
            ),
            simulators=simulators,
        )
        delay = Delay(draw.opening_seconds, after_work=draw.opens_first)
        self._opening = self.emulator.faults.add(Fault("/sessions", delay, method="POST", count=1))

    def break_releases(self, how: str) -> None:
        """Have requests that would release a session fail in this way, for some times."""
        fail_releases(self.emulator, *_FAULTS[how])

    def moment(self) -> str:
        """Say where the flow run is in its life."""
        jobs = self.emulator.jobs
        statuses = {job.status for job in jobs}
        if not jobs:
            return "before its first job" if self._opening.struck else "before its session"
        if "Running" in statuses:
            return "while a job runs"
        return "while a job is queued" if "Queued" in statuses else "between jobs"

    @property
    def sessions(self) -> list[SessionRecord]:
        """Every session, as it stands now."""
        return self.emulator.sessions

    @property
    def is_released(self) -> bool:
        """Whether there were sessions, and none takes jobs any more."""
        sessions = self.sessions
        return bool(sessions) and not any(session.accepting_jobs for session in sessions)

    @property
    def is_unused(self) -> bool:
        """Whether no session, if there is one, has ever had a job."""
        return not any(session.job_ids for session in self.sessions)

    @property
    def jobs_queued(self) -> int:
        """How many jobs wait."""
        return sum(job.status == "Queued" for job in self.emulator.jobs)
