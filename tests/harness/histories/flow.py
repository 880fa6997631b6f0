"""The flow of a history: its body does what was drawn, and notes what it was given."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from prefect import Flow, Task, task
from prefect.cache_policies import NO_CACHE
from qiskit import QuantumCircuit

from prefect_qsession import QiskitRuntimeCredentials, current_backend, sampler, session_flow
from prefect_qsession.exceptions import JobCancelled, QSessionError, ResultNotReady
from tests.harness.histories.drawn import Ask, Attempt, End, History, How, Round, Then
from tests.harness.histories.workers import InProcessWorkers

BACKEND = "ibm_manila"
SHOTS = 10
POLL_SECONDS = 0.005


class Failed(Exception):
    """What an attempt raises that fails."""


class Died(BaseException):
    """What an attempt ends with that dies."""


@dataclass
class Notes:
    """What the body was given, over all attempts."""

    given: list[tuple[int, int]] = field(default_factory=list)
    """The number that was asked for, and the one that was found."""
    refused: list[tuple[int, BaseException]] = field(default_factory=list)
    attempts: int = 0
    looked: list[Any] = field(default_factory=list)


def circuit_of(number: int, num_qubits: int) -> QuantumCircuit:
    """Return an ISA circuit that measures this number."""
    circuit = QuantumCircuit(num_qubits, num_qubits, name="number")
    for bit in range(num_qubits):
        if number >> bit & 1:
            circuit.x(bit)
    circuit.measure(range(num_qubits), range(num_qubits))
    return circuit


def numbers_in(result: Any) -> Iterator[int]:
    """Yield the number that each PUB of a result has measured."""
    for pub in result:
        for number in np.unique(np.asarray(pub.data.c.array).astype(int).ravel()):
            yield int(number)


class Player:
    """
    Does what was drawn.

    Args:
        history: What was drawn.
        make_trouble: Makes what goes wrong before a round go wrong.
        look: Called as an attempt begins; what it returns is noted.
    """

    def __init__(
        self,
        history: History,
        make_trouble: Callable[[Round], None],
        look: Callable[[], object],
    ) -> None:
        self.history = history
        self.notes = Notes()
        self._make_trouble = make_trouble
        self._look = look
        self._troubled: set[int] = set()

    def flow(self, credentials: QiskitRuntimeCredentials) -> Flow[[], Any]:
        """Return the flow that is run."""
        history = self.history
        make = session_flow(
            credentials,
            backend=BACKEND,
            name="history",
            retries=len(history.attempts) - 1,
            pack=history.pack,
            qpu_budget=history.qpu_budget,
            task_runner=InProcessWorkers() if history.on_workers else None,
        )
        return make(self._async_body if history.is_async else self._body)

    # -- the bodies

    def _body(self) -> None:
        attempt = self._begin()
        for number, each in enumerate(self.history.rounds[: attempt.rounds]):
            self._trouble(number)
            self._play(each)
        self._end(attempt.end)

    async def _async_body(self) -> None:
        attempt = self._begin()
        for number, each in enumerate(self.history.rounds[: attempt.rounds]):
            self._trouble(number)
            if each.how is How.GATHER:
                asked = (_ask_in_coroutine(self, ask) for ask in each.asks)
                await asyncio.gather(*asked, return_exceptions=True)
            else:
                for ask in each.asks:
                    self.ask(ask)
        self._end(attempt.end)

    def _begin(self) -> Attempt:
        self.notes.looked.append(self._look())
        number = min(self.notes.attempts, len(self.history.attempts) - 1)
        self.notes.attempts += 1
        return self.history.attempts[number]

    def _trouble(self, number: int) -> None:
        if number not in self._troubled:
            self._troubled.add(number)
            self._make_trouble(self.history.rounds[number])

    def _end(self, end: End) -> None:
        if end is End.RAISE:
            raise Failed
        if end is End.DIE:
            raise Died

    def _play(self, each: Round) -> None:
        match each.how:
            case How.MAP:
                futures = [_task(ask).submit(self, ask) for ask in each.asks]
                for future in futures:
                    future.wait()
            case How.TASKS:
                for ask in each.asks:
                    _ = _task(ask)(self, ask, return_state=True)
            case How.THREADS:
                with ThreadPoolExecutor(len(each.asks)) as threads:
                    for ask in each.asks:
                        threads.submit(copy_context().run, self.ask, ask)
            case How.BARE_THREADS:
                with ThreadPoolExecutor(len(each.asks)) as threads:
                    for ask in each.asks:
                        threads.submit(self.ask, ask)
            case _:
                for ask in each.asks:
                    self.ask(ask)

    # -- one request

    def ask(self, ask: Ask) -> None:
        """Ask for the number, and note what was found, or why nothing was."""
        try:
            self._ask(ask)
        except QSessionError as error:
            self.notes.refused.append((ask.number, error))
        except (Exception, asyncio.CancelledError) as error:
            self.notes.refused.append((ask.number, error))
            raise

    def _ask(self, ask: Ask) -> None:
        pub = circuit_of(ask.number, current_backend().num_qubits)
        job = sampler().run([pub], shots=SHOTS)
        match ask.then:
            case Then.WAIT:
                self._wait(ask, job)
            case Then.WAIT_IN_VAIN:
                with suppress(ResultNotReady):
                    job.result(timeout=0.0)
                self._wait(ask, job)
            case Then.WAIT_TWICE:
                with ThreadPoolExecutor(2) as threads:
                    waits = [threads.submit(self._wait, ask, job) for _ in range(2)]
                for each in waits:
                    each.result()
            case Then.POLL:
                while not job.in_final_state():
                    time.sleep(POLL_SECONDS)
                self._wait(ask, job)
            case Then.CANCEL:
                job.cancel()
                with suppress(JobCancelled):
                    self._wait(ask, job)
            case Then.FORGET:
                pass

    def _wait(self, ask: Ask, job: Any) -> None:
        self.notes.given.extend((ask.number, number) for number in numbers_in(job.result()))


@task(name="ask", retries=1, cache_policy=NO_CACHE)
def _ask_in_task(player: Player, ask: Ask) -> None:
    player.ask(ask)


@task(name="ask", retries=1, cache_policy=NO_CACHE)
async def _ask_in_coroutine(player: Player, ask: Ask) -> None:
    player.ask(ask)


def _task(ask: Ask) -> Task[..., Any]:
    return _ask_in_task.with_options(timeout_seconds=ask.cut_after_seconds)
