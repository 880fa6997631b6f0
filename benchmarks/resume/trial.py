"""A flow run on an emulated service of its own, killed as often as drawn, and what came of it."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import IO, Any

from benchmarks._emulators import DEVICE, one_device
from demo.servers import ROOT, PrefectServer
from prefect_qsession.emulator import Delay, Fault, SimulatorPool
from tests.harness.waiting import happened

RUN_TAG = "qsession-run:"
JOB_SECONDS = 0.2
"""Long enough to be killed in."""
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


class KilledFlowRun:
    """
    A flow run, whose processes are killed, and an emulated service of its own.

    Args:
        server: The Prefect server.
        simulators: What computes the circuits.
        log: For what the processes say.
        job_seconds: How long a job holds the QPU.
    """

    def __init__(
        self, server: PrefectServer, simulators: SimulatorPool, log: Path, job_seconds: float
    ) -> None:
        # Shot noise is drawn by the order of submission, and a queued job that is cancelled with
        # its session moves those after it by one.
        self.emulator = one_device(simulators, job_seconds, noise="none")
        self._server = server
        self._log = log
        self._results = self.emulator.faults.add(
            Fault("/jobs/{id}/results", Delay(0), method="GET")
        )

    def run(self, flow: str, parameters: dict[str, Any], kill: Kill | None = None) -> Any:
        """Run the flow, or its flow run again; return its result, None if it was killed."""
        before = self._results.struck
        with self._log.open("ab") as log, self._process(flow, parameters, log) as process:
            if kill is not None:
                happened(lambda: process.poll() is not None or self._is_due(kill, before), inf)
                if process.poll() is None:
                    time.sleep(kill.pause_seconds)
                    process.kill()
            printed, _ = process.communicate()
        return json.loads(printed.splitlines()[-1]) if process.returncode == 0 else None

    def _is_due(self, kill: Kill, before: int) -> bool:
        return bool(self.emulator.jobs) and self._results.struck - before >= kill.results

    def _process(
        self, flow: str, parameters: dict[str, Any], log: IO[bytes]
    ) -> subprocess.Popen[str]:
        tags = {tag for job in self.emulator.jobs for tag in job.tags}
        ids = [tag.removeprefix(RUN_TAG) for tag in tags if tag.startswith(RUN_TAG)]
        environment = {
            **self._server.environment(),
            **self.emulator.environment(),
            "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS": f"resume-{self._log.stem}",
            "PREFECT_INTEGRATIONS_QSESSION_BACKEND": DEVICE,
        }
        script = [sys.executable, "-m", "benchmarks.resume.script"]
        return subprocess.Popen(
            [*script, flow, json.dumps(parameters), *ids],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )


def differing(energies: list[float] | None, expected: list[float]) -> int:
    """Return how many energies are not what an undisturbed run has; all, if there are none."""
    if energies is None:
        return len(expected)
    same = sum(one == other for one, other in zip(energies, expected, strict=False))
    return max(len(energies), len(expected)) - same


def run_trial(
    number: int, kills: tuple[Kill, ...], flow_run: KilledFlowRun, parameters: dict[str, Any]
) -> Trial:
    """Run a VQE, kill it as often as is drawn, have it begun anew each time, and count."""
    began, killed, energies = time.monotonic(), 0, None
    with flow_run.emulator:
        for kill in (*kills, None):
            energies = flow_run.run("vqe", parameters, kill)
            if energies is not None or kill is None:
                break
            killed += 1
        jobs = flow_run.emulator.jobs
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
