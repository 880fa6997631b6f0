"""
Draw what a loop waits for, and what it is billed, in a session, in a batch and in job mode.

    python -m docs.costs [FILE]

The loop runs on the emulator, by the client alone, on a clock that is moved by hand: the seconds
are those of the service's rules, and the same on every machine.
"""

import os
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from qiskit import QuantumCircuit
from qiskit_ibm_runtime import Batch, IBMBackend, QiskitRuntimeService, SamplerV2, Session

from docs.drawing import Drawing, Point
from prefect_qsession.emulator import (
    Emulator,
    EmulatorSettings,
    HandClock,
    JobRecord,
    QueueSettings,
    SimulatorPool,
    TimingSettings,
)

PICTURE = Path(__file__).parent / "pictures" / "costs.svg"

ITERATIONS = 10
JOB_SECONDS = 3.0
CLASSICAL_SECONDS = 5.0
OTHERS = QueueSettings(jobs_ahead=2, seconds_each=30.0)

LEFT, RIGHT, TOP, LANE = 90.0, 900.0, 60.0, 80.0


@dataclass(frozen=True)
class Spent:
    """What the loop came to in one mode; times are seconds from its beginning."""

    mode: str
    jobs: list[JobRecord]
    began: float
    billed_seconds: float

    @property
    def took_seconds(self) -> float:
        """How long it took, from its beginning to its last answer."""
        return (self.jobs[-1].finished or 0.0) - self.began


def spend(mode: str, simulators: SimulatorPool) -> Spent:
    """Run the loop in a mode: each job is made of the last one's answer, after a classical step."""
    settings = EmulatorSettings(
        hand_clock=True,
        skip_waits=True,
        queue=OTHERS,
        timing=TimingSettings(fixed_seconds=JOB_SECONDS),
    )
    with Emulator(settings, simulators=simulators) as emulator:
        os.environ.update(emulator.environment())
        backend = QiskitRuntimeService().backend("ibm_manila")
        clock = emulator.clock
        assert isinstance(clock, HandClock)  # noqa: S101 - as the settings say
        began = clock.now()
        with _workload(mode, backend) as workload, warnings.catch_warnings():
            # The older sampler needs no processes of its own, and bills the same.
            warnings.simplefilter("ignore", DeprecationWarning)
            sampler = SamplerV2(mode=workload or backend)
            for _ in range(ITERATIONS):
                sampler.run([_one_bit()]).result()
                clock.advance(CLASSICAL_SECONDS)
        charged = sum(job.charged_seconds or 0 for job in emulator.jobs)
        held = [session.usage_seconds for session in emulator.sessions]
        return Spent(mode, emulator.jobs, began, held[0] if held else charged)


def _workload(mode: str, backend: IBMBackend) -> AbstractContextManager[Session | None]:
    if mode == "job":
        return nullcontext()
    kind: type[AbstractContextManager[Session]] = Session if mode == "session" else Batch
    return kind(backend)  # type: ignore[call-arg]  # the client ships no types


def _one_bit() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


def drawing(spent: list[Spent]) -> str:
    """Return one lane for each mode: grey while a job waits, blue while it holds the QPU."""
    scale = (RIGHT - LEFT) / max(it.took_seconds for it in spent)
    picture = Drawing(RIGHT + 20, TOP + LANE * len(spent) + 20, "The same loop in three modes")
    picture.write(
        Point(LEFT, 30),
        f"{ITERATIONS} iterations: a job of {JOB_SECONDS:.0f} s, then {CLASSICAL_SECONDS:.0f} s of"
        f" classical work; the queue is {OTHERS.jobs_ahead * OTHERS.seconds_each:.0f} s long",
        "start",
    )
    for number, one in enumerate(spent):
        top = TOP + LANE * number
        picture.write(Point(LEFT - 12, top + 20), one.mode, "end")
        for job in one.jobs:
            queued, started, finished = (
                LEFT + ((at or 0.0) - one.began) * scale
                for at in (job.created, job.started, job.finished)
            )
            picture.bar(Point(queued, top), started - queued, 30)
            picture.bar(Point(started, top), finished - started, 30, "busy")
        picture.write(
            Point(LEFT, top + 50),
            f"done after {one.took_seconds:.0f} s, billed {one.billed_seconds:.0f} s",
            "start",
        )
    return picture.svg()


def draw() -> str:
    """Run the loop in every mode, and return the drawing."""
    with SimulatorPool() as simulators:
        return drawing([spend(mode, simulators) for mode in ("session", "batch", "job")])


if __name__ == "__main__":
    Path(sys.argv[1] if sys.argv[1:] else PICTURE).write_text(draw())
