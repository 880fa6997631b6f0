"""The emulated service of one trial: what it is like at which moment, and what its record says."""

from prefect_qsession.emulator import (
    Delay,
    DeviceSettings,
    Emulator,
    EmulatorSettings,
    Fault,
    HandClock,
    QueueSettings,
    SimulatorPool,
    TimingSettings,
)
from tests.harness.flows import DEVICE, ELSEWHERE
from tests.harness.marks import Marks
from tests.harness.releases import FOR_EVER
from tests.matrix.ways import Moment, Way

JOB_SECONDS = 10.0
TENANT_SECONDS = 3600.0
LEFT_OPEN = "left open"


class FrozenService:
    """
    A service on which time stands still, so that a moment lasts as long as it takes to end it.

    Args:
        moment: When the flow run will be ended.
        simulators: What computes the circuits; left running.
    """

    def __init__(self, moment: Moment, simulators: SimulatorPool) -> None:
        instant = moment in (Moment.BETWEEN, Moment.OPENING)
        queue = QueueSettings(jobs_ahead=1, seconds_each=TENANT_SECONDS)
        self.emulator = Emulator(
            EmulatorSettings(
                devices=(
                    DeviceSettings(DEVICE, "manila"),
                    DeviceSettings(ELSEWHERE, "manila"),
                ),
                queue=queue if moment is Moment.QUEUED else QueueSettings(),
                timing=TimingSettings(fixed_seconds=0.0 if instant else JOB_SECONDS),
                # Of two jobs one waits.
                execution_lanes=1,
                hand_clock=True,
            ),
            simulators=simulators,
        )
        self._moment = moment
        delay = Fault("/sessions", Delay(FOR_EVER, after_work=True), method="POST", count=1)
        self._opening = self.emulator.faults.add(delay) if moment is Moment.OPENING else None

    # -- before the end

    def has_come(self, way: Way, marks: Marks) -> bool:
        """Whether the moment has come."""
        statuses = [job.status for job in self.emulator.jobs]
        match self._moment:
            case Moment.OPENING:
                return self._opening is not None and self._opening.struck > 0
            case Moment.QUEUED:
                return statuses == ["Queued", "Queued"]
            case Moment.RUNNING:
                return statuses == ["Running", "Queued"]
            case Moment.BETWEEN:
                return marks.waiting == way.flow_runs

    # -- after it

    def has_released(self, way: Way) -> bool:
        """Whether all the sessions there will be take no more jobs."""
        sessions = self.emulator.sessions
        return len(sessions) == len(way.outcomes) and not any(s.accepting_jobs for s in sessions)

    def play_out(self) -> tuple[str, ...]:
        """
        Let happen what happens by itself, and return how each session ended, sorted.

        One that still took jobs, and had some, was left open, whatever becomes of it now.
        """
        left_open = {s.id for s in self.emulator.sessions if s.accepting_jobs and s.job_ids}
        self.emulator.faults.clear()
        clock = self.emulator.clock
        assert isinstance(clock, HandClock)
        clock.advance(2 * TENANT_SECONDS)
        return tuple(
            sorted(
                LEFT_OPEN if s.id in left_open else s.ended_by or LEFT_OPEN
                for s in self.emulator.sessions
            )
        )

    def jobs_left_queued(self) -> int:
        """How many jobs still wait."""
        return sum(job.status == "Queued" for job in self.emulator.jobs)
