"""The emulated service of one trial: what it is like at which moment, and what its record says."""

from benchmarks.endings.flows import ELSEWHERE
from benchmarks.endings.marks import Marks
from benchmarks.endings.ways import Moment, Way
from prefect_qsession.emulator import (
    Answer,
    Delay,
    DeviceSettings,
    Drop,
    Emulator,
    EmulatorSettings,
    Fault,
    HandClock,
    QueueSettings,
    SimulatorPool,
    TimingSettings,
)

JOB_SECONDS = 10.0
TENANT_SECONDS = 3600.0
LEFT_OPEN = "left open"
FOR_EVER = 1e6
"""Longer than anything lasts on the service's clock, which stands still unless it is moved."""

_FAULTS: dict[str, tuple[Answer | Delay | Drop, int | None]] = {
    "errors": (Answer(503), 3),
    "a lost request": (Drop(), 1),
    "a lost reply": (Drop(after_work=True), 1),
    "no answer": (Delay(FOR_EVER), 1),
    "an outage": (Answer(503), None),
}
"""What happens to a release, and to how many of them."""


class Stage:
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
                    DeviceSettings("ibm_manila", "manila"),
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

    def break_releases(self, how: str) -> None:
        """Have every request that would release a session fail in this way, for some times."""
        fail_releases(self.emulator, *_FAULTS[how])

    def mend(self) -> None:
        """Have no more faults, and let go on what was held back."""
        self.emulator.faults.clear()

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
        self.mend()
        clock = self.emulator.clock
        assert isinstance(clock, HandClock)  # noqa: S101 - it was made so
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


def fail_releases(emulator: Emulator, effect: Answer | Delay | Drop, count: int | None) -> None:
    """Have so many requests that would close a session, and as many that would cancel, fail so."""
    emulator.faults.add(Fault("/sessions/{id}", effect, method="PATCH", count=count))
    emulator.faults.add(Fault("/sessions/{id}/close", effect, method="DELETE", count=count))
