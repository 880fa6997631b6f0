"""One trial: a session flow on a service of its own that fails as drawn, and what came of it."""

import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from qiskit import QuantumCircuit

from benchmarks._emulators import DEVICE, one_device
from benchmarks.job_faults.schedules import Draw
from prefect_qsession import (
    QiskitRuntimeCredentials,
    retry_if_it_can_help,
    sampler,
    session_flow,
)
from prefect_qsession.emulator import SimulatorPool, fault_line

TASK_RETRIES = 4
FLOW_RETRIES = 2
BITS = 5
FEWEST_SHOTS = 10
OF_FLOW = -1
"""Stands for the flow among those who stumble."""


class Stumble(Exception):
    """A task, or the flow, fails for a cause of its own, after it has its results."""


@dataclass
class Trial:
    """What came of a trial, by the emulator's record and by what the flow run got."""

    number: int
    requests: int
    jobs_duplicated: int
    """Jobs beyond one per request that were not cancelled before they ran."""
    results_lost: list[int]
    """Requests that got no result."""
    results_wrong: list[int]
    """Requests that got, at least once, another result than their own."""
    sessions_left_open: int
    """Sessions with jobs that still take more, after the flow run is over."""
    attempts_unplanned: int
    """How often the flow run began anew because an error went through its tasks' retries."""
    jobs: int
    seconds: float
    ended: str
    """The flow run's final state, with its message if it is no completion."""
    struck: dict[str, int]
    """The faults, as lines, and how many requests each struck."""

    @property
    def is_bad(self) -> bool:
        """Whether it shows what must not be."""
        return any(
            (self.jobs_duplicated, self.results_lost, self.results_wrong, self.sessions_left_open)
        )


@dataclass
class _Got:
    """What the tasks of a flow run got, several at once."""

    right: set[int] = field(default_factory=set)
    wrong: set[int] = field(default_factory=set)
    stumbled: set[int] = field(default_factory=set)
    attempts: int = 0
    _lock: Lock = field(default_factory=Lock)

    def stumble_once(self, who: int) -> None:
        with self._lock:
            if who in self.stumbled:
                return
            self.stumbled.add(who)
        raise Stumble


# -- requests whose results can be told apart: each has bits and a number of shots of its own


def circuit(request: int) -> QuantumCircuit:
    """Return a circuit that measures the request's number, on any device that has an X gate."""
    made = QuantumCircuit(BITS, BITS, name=f"request {request}")
    for bit in range(BITS):
        if (request + 1) >> bit & 1:
            made.x(bit)
        made.measure(bit, bit)
    return made


def shots(request: int) -> int:
    """Return how often it is measured."""
    return FEWEST_SHOTS + request


def is_of(request: int, result: Any) -> bool:
    """Whether a result is the request's own."""
    return bool(result[0].data.c.get_counts() == {f"{request + 1:0{BITS}b}": shots(request)})


# -- a trial


def run_trial(draw: Draw, simulators: SimulatorPool) -> Trial:
    """Run one trial on the Prefect server of the environment."""
    lifetime = draw.token_seconds
    with one_device(simulators, token_lifetime_seconds=lifetime, seed=draw.number) as emulator:
        credentials = QiskitRuntimeCredentials.from_environment(emulator.environment())
        standing = [emulator.faults.add(fault) for fault in draw.faults]
        got, began = _Got(), time.monotonic()
        state = _run_flow(draw, credentials, got)
        seconds = time.monotonic() - began
        ran = Counter(job.executions for job in emulator.jobs if job.started is not None)
        return Trial(
            number=draw.number,
            requests=draw.requests,
            jobs_duplicated=ran.total() - len(ran),
            results_lost=sorted(set(range(draw.requests)) - got.right - got.wrong),
            results_wrong=sorted(got.wrong),
            sessions_left_open=sum(
                bool(session.job_ids) and session.accepting_jobs for session in emulator.sessions
            ),
            attempts_unplanned=got.attempts - 1 - (OF_FLOW in got.stumbled),
            jobs=len(emulator.jobs),
            seconds=seconds,
            ended=str(state.name) if state.is_completed() else f"{state.name}: {state.message}",
            struck={fault_line(each.fault): each.struck for each in standing},
        )


def _run_flow(draw: Draw, credentials: QiskitRuntimeCredentials, got: _Got) -> State[None]:
    @task(
        cache_policy=NO_CACHE,
        retries=TASK_RETRIES,
        retry_delay_seconds=0.5,
        retry_condition_fn=retry_if_it_can_help,
    )
    def measure(request: int) -> None:
        job = sampler().run([circuit(request)], shots=shots(request))
        (got.right if is_of(request, job.result()) else got.wrong).add(request)
        if request in draw.stumbling:
            got.stumble_once(request)

    @session_flow(credentials, backend=DEVICE, name="job-faults", retries=FLOW_RETRIES)
    def measures() -> None:
        got.attempts += 1
        for request in range(draw.sequential):
            measure(request)
        measure.map(range(draw.sequential, draw.requests)).result()
        if draw.stumbles:
            got.stumble_once(OF_FLOW)

    return measures(return_state=True)
