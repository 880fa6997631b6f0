"""How many HTTP requests a job takes, for the bare client and for ours, when nothing goes wrong."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from qiskit_ibm_runtime import QiskitRuntimeService, Session
from qiskit_ibm_runtime.executor_sampler import Sampler

from benchmarks._emulators import DEVICE, one_device
from benchmarks.job_faults.trial import circuit, shots
from prefect_qsession import QiskitRuntimeCredentials, sampler, session_flow
from prefect_qsession.emulator import Delay, Emulator, Fault, SimulatorPool
from tests.harness.waiting import wait_until


@dataclass(frozen=True)
class Count:
    """How many requests a loop took."""

    per_job: float
    """From the submission of the second job to the result of the last: what one more job costs."""
    in_all: int
    """With all that comes before and after: to connect, to open, to close."""


class _Counter:
    """An emulator that counts its requests."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._counted = emulator.faults.add(Fault("*", Delay(0)))
        self._at: list[int] = []

    def result_of(self, submit: Callable[[], Any]) -> None:
        """Submit a job and read its result once it is there."""
        done = len(self._at)
        job = submit()
        # How often the client looks in vain is chance; nobody looks before there is an answer.
        wait_until(lambda: [it.status for it in self._emulator.jobs].count("Completed") > done)
        job.result()
        self._at.append(self._counted.struck)

    @property
    def count(self) -> Count:
        """What was counted, when the loop is over."""
        per_job = (self._at[-1] - self._at[0]) / (len(self._at) - 1)
        return Count(per_job, self._counted.struck)


def count_requests(jobs: int, simulators: SimulatorPool) -> tuple[Count, Count]:
    """Return what so many jobs take, two at the least: the bare client's in a session, and ours."""
    counts = []
    for loop in (_bare, _ours):
        with one_device(simulators) as emulator:
            counter = _Counter(emulator)
            loop(emulator.environment(), counter, jobs)
            counts.append(counter.count)
    bare, ours = counts
    return bare, ours


def _bare(environment: dict[str, str], counter: _Counter, jobs: int) -> None:
    # Not the service of a credentials block: its requests would travel by our transport.
    os.environ.update(environment)
    try:
        backend = QiskitRuntimeService().backend(DEVICE)
        with Session(backend=backend) as session:
            bare_sampler = Sampler(mode=session)
            for request in range(jobs):
                counter.result_of(partial(_submit, bare_sampler, request))
    finally:
        for name in environment:
            del os.environ[name]


def _ours(environment: dict[str, str], counter: _Counter, jobs: int) -> None:
    @task(cache_policy=NO_CACHE)
    def measure(request: int) -> None:
        counter.result_of(lambda: _submit(sampler(), request))

    @session_flow(
        QiskitRuntimeCredentials.from_environment(environment), backend=DEVICE, name="counted"
    )
    def measures() -> None:
        for request in range(jobs):
            measure(request)

    measures()


def _submit(primitive: Any, request: int) -> Any:
    return primitive.run([circuit(request)], shots=shots(request))
