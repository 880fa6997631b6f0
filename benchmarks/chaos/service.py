"""The emulated service of one trial, on the machine's clock, and what its record says."""

import json

from benchmarks._emulators import one_device
from benchmarks.chaos.ways import Draw
from prefect_qsession.emulator import Delay, Fault, QueueSettings, SessionRecord, SimulatorPool


class TrialService:
    """
    A service of one small device.

    Args:
        draw: How long its jobs and its queue take, and how late it answers.
        simulators: What computes the circuits; left running.
    """

    def __init__(self, draw: Draw, simulators: SimulatorPool) -> None:
        queue = QueueSettings(jobs_ahead=1, seconds_each=draw.queue_seconds)
        self.emulator = one_device(simulators, draw.job_seconds, queue=queue, seed=draw.number)
        delay = Delay(draw.opening_seconds, after_work=draw.opens_first)
        self._opening = self.emulator.faults.add(Fault("/sessions", delay, method="POST", count=1))

    def moment(self) -> str:
        """Say where the flow run is in its life."""
        statuses = {job.status for job in self.emulator.jobs}
        if not statuses:
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

    def record(self) -> str:
        """Return all that it knows, as JSON."""
        sessions = [session.as_dict() for session in self.sessions]
        return json.dumps(
            {"sessions": sessions, "jobs": [job.as_dict() for job in self.emulator.jobs]}
        )
