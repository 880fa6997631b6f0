"""A flow run on an emulated service of its own, killed as often as drawn, and what came of it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from demo.servers import ROOT, PrefectServer
from prefect_qsession.emulator import (
    Delay,
    DeviceSettings,
    Emulator,
    EmulatorSettings,
    Fault,
    SimulatorPool,
    TimingSettings,
)

DEVICE = "ibm_manila"
RUN_TAG = "qsession-run:"
JOB_SECONDS = 0.2
"""Long enough to be killed in."""
LOOK_SECONDS = 0.02
PAUSE_SECONDS = 0.8
"""A kill comes within this time after a result has been read: about what an evaluation takes."""


@dataclass(frozen=True)
class Kill:
    """When a process is killed: after so many results, and a pause."""

    results: int
    pause_seconds: float


@dataclass(frozen=True)
class Trial:
    """What came of a trial, by the emulator's record and the flow run's own result."""

    number: int
    kills: tuple[Kill, ...]
    killed: int
    """How many processes were killed; one that was faster is not."""
    jobs: int
    jobs_cancelled: int
    jobs_submitted_twice: int
    """Jobs beyond one per request that ran."""
    energies: list[float] | None
    """Every evaluation and the final energy; None if there is no result."""
    seconds: float


def draw_kills(number: int, seed: int, evaluations: int) -> tuple[Kill, ...]:
    """Return when the processes of a trial are killed, the same for the same number and seed."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable on purpose
    return tuple(
        Kill(chance.randrange(evaluations), chance.uniform(0, PAUSE_SECONDS))
        for _ in range(chance.choice((1, 1, 2, 3)))
    )


class Stage:
    """
    An emulated service, and the processes of one flow run that uses it.

    Args:
        server: The Prefect server.
        simulators: What computes the circuits.
        log: For what the processes say.
        job_seconds: How long a job holds the QPU.
    """

    def __init__(
        self, server: PrefectServer, simulators: SimulatorPool, log: Path, job_seconds: float
    ) -> None:
        self.emulator = Emulator(
            EmulatorSettings(
                devices=(DeviceSettings(DEVICE, "manila"),),
                timing=TimingSettings(fixed_seconds=job_seconds),
                # Shot noise is drawn by the order of submission, and a queued job that is
                # cancelled with its session moves those after it by one.
                noise="none",
            ),
            simulators=simulators,
        )
        self._server = server
        self._log = log
        self._results = self.emulator.faults.add(
            Fault("/jobs/{id}/results", Delay(0), method="GET")
        )

    def __enter__(self) -> Self:
        self.emulator.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.emulator.stop()

    def run(self, flow: str, parameters: dict[str, Any], kill: Kill | None = None) -> Any:
        """Run the flow, or its flow run again; return its result, None if it was killed."""
        results_before = self._results.struck
        with self._process(flow, parameters) as process:
            while kill is not None and process.poll() is None:
                results = self._results.struck - results_before
                if self.emulator.jobs and results >= kill.results:
                    time.sleep(kill.pause_seconds)
                    os.kill(process.pid, signal.SIGKILL)
                    break
                time.sleep(LOOK_SECONDS)
            printed, _ = process.communicate()
        return json.loads(printed.splitlines()[-1]) if process.returncode == 0 else None

    @contextmanager
    def _process(self, flow: str, parameters: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
        ids = {
            tag.removeprefix(RUN_TAG)
            for job in self.emulator.jobs
            for tag in job.tags
            if tag.startswith(RUN_TAG)
        }
        environment = {
            **self._server.environment(),
            **self.emulator.environment(),
            "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS": f"resume-{self._log.stem}",
            "PREFECT_INTEGRATIONS_QSESSION_BACKEND": DEVICE,
        }
        script = [sys.executable, "-m", "benchmarks.resume.script"]
        with (
            self._log.open("ab") as log,
            subprocess.Popen(
                [*script, flow, json.dumps(parameters), *ids],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            ) as process,
        ):
            yield process


def differing(energies: list[float] | None, expected: list[float]) -> int:
    """Return how many energies are not what an undisturbed run has; all, if there are none."""
    if energies is None:
        return len(expected)
    same = sum(one == other for one, other in zip(energies, expected, strict=False))
    return max(len(energies), len(expected)) - same


def run_trial(
    number: int, kills: tuple[Kill, ...], stage: Stage, parameters: dict[str, Any]
) -> Trial:
    """Run a VQE, kill it as often as is drawn, have it begun anew each time, and count."""
    began, killed, energies = time.monotonic(), 0, None
    with stage:
        for kill in (*kills, None):
            energies = stage.run("vqe", parameters, kill)
            if energies is not None or kill is None:
                break
            killed += 1
        jobs = stage.emulator.jobs
    ran = Counter(job.tags for job in jobs if job.started is not None)
    return Trial(
        number=number,
        kills=kills,
        killed=killed,
        jobs=len(jobs),
        jobs_cancelled=sum(job.started is None for job in jobs),
        jobs_submitted_twice=ran.total() - len(ran),
        energies=energies,
        seconds=time.monotonic() - began,
    )
