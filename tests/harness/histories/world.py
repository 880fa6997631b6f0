"""What histories happen in: emulators whose clock is moved, and a Prefect API that may go."""

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from prefect import get_client
from prefect.context import FlowRunContext
from prefect.flow_engine import run_flow
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOGGING_LEVEL,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)
from prefect.states import AwaitingRetry
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime import Session as ClientSession

from prefect_qsession import QiskitRuntimeCredentials
from prefect_qsession.emulator import (
    Emulator,
    EmulatorSettings,
    Fault,
    HandClock,
    SimulatorPool,
    TimingSettings,
)
from prefect_qsession.jobs.settling import settle_what_is_over
from prefect_qsession.session.flow_run_sessions import session_owned_by
from tests.harness.histories.drawn import Elsewhere, End, History, Round, draw
from tests.harness.histories.flow import Died, Player, numbers_in
from tests.harness.histories.found import Found, lost_or_swapped, paid_twice
from tests.harness.unsteady_api import UnsteadyAPI
from tests.harness.waiting import happened

SETTINGS = {
    "PREFECT_INTEGRATIONS_QSESSION_MONITOR_EVERY": "0.5",
    "PREFECT_INTEGRATIONS_QSESSION_HEARTBEAT_EVERY": "1",
    "PREFECT_INTEGRATIONS_QSESSION_RELEASE_WITHIN": "5",
}
SERVER = {
    f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false"
    for name in ("EVENT_PERSISTER", "LATE_RUNS", "SCHEDULER", "TASK_RUN_RECORDER", "TRIGGERS")
}
"""Of a Prefect server for histories: what nobody looks at costs it as much as all the rest."""

JOB_SECONDS = 2.0
TICK_SECONDS = 0.01
SECONDS_A_TICK = 2.0
"""The service's clock goes two hundred times as fast as ours."""
LOST_AFTER_SECONDS = 3 * 3600.0
SLOW_SECONDS = 0.03
GONE_SECONDS = 1.0
HANGS_AFTER_SECONDS = 60.0
END_SECONDS = 5.0
"""What threads and sessions may take to be gone after the flow run."""
KEPT = 100
"""Histories that happen on one pair of emulators: these remember all that ever was."""


@dataclass
class Service:
    """An emulator, and the way to it."""

    emulator: Emulator
    credentials: QiskitRuntimeCredentials
    client: QiskitRuntimeService


class World:
    """
    Play histories, one after the other, in this process.

    Args:
        api: The way to the Prefect server.
        home: Prefect's home.
        simulators: Compute the circuits.
    """

    def __init__(self, api: UnsteadyAPI, home: Path, simulators: SimulatorPool) -> None:
        self._api = api
        self._home = home
        self._simulators = simulators
        self._context = ExitStack()
        self._services = ExitStack()
        self._service: dict[bool, Service] = {}
        self._played = 0
        self._known_threads: set[int | None] = set()

    def __enter__(self) -> Self:
        self._context.enter_context(_environment(SETTINGS))
        self._context.enter_context(
            temporary_settings(
                {
                    PREFECT_API_URL: self._api.url,
                    PREFECT_HOME: self._home,
                    PREFECT_CLIENT_MAX_RETRIES: 1,
                    # Every flow run would wait for the end of its heartbeat.
                    PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                    # What they say is told by `Found`.
                    PREFECT_LOGGING_LEVEL: "CRITICAL",
                    PREFECT_LOGGING_TO_API_ENABLED: False,
                }
            )
        )
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._services.close()
        self._context.close()

    def play(self, seed: int) -> Found:
        """Play the history of this seed, and return what was found after it."""
        history = draw(seed)
        if self._played % KEPT == 0:
            self._renew()
        self._played += 1
        service = self._service[history.takes_time]
        found: list[Found] = []
        play = threading.Thread(
            target=copy_context().run,
            args=(lambda: found.append(_Play(history, service, self._api).run()),),
            name=f"history-{seed}",
            daemon=True,
        )
        play.start()
        play.join(HANGS_AFTER_SECONDS)
        return found[0] if found else Found(hung=1)

    def _renew(self) -> None:
        self._services.close()
        for takes_time in (False, True):
            timing = TimingSettings(fixed_seconds=JOB_SECONDS if takes_time else 0.0)
            settings = EmulatorSettings(timing=timing, execution_lanes=2, hand_clock=True)
            emulator = Emulator(settings, simulators=self._simulators)
            self._services.enter_context(emulator)
            self._services.enter_context(_going_on(emulator))
            variables = emulator.environment()
            credentials = QiskitRuntimeCredentials.from_environment(variables)
            credentials.save(f"history-{id(emulator)}")
            with _environment(variables):
                client = QiskitRuntimeService()
            self._service[takes_time] = Service(emulator, credentials, client)


class _Play:
    """One history."""

    def __init__(self, history: History, service: Service, api: UnsteadyAPI) -> None:
        self._history = history
        self._service = service
        self._api = api
        self._sessions_before = len(service.emulator.sessions)
        self._jobs_before = len(service.emulator.jobs)
        self._flow_run_id: UUID | None = None
        self._player = Player(history, self._make_trouble, self._look)

    def run(self) -> Found:
        threads_before = set(threading.enumerate())
        self._run_to_the_end()
        self._api.come_back()
        emulator = self._service.emulator
        emulator.faults.clear()
        happened(lambda: not self._open_sessions(), END_SECONDS)
        left = [it for it in threading.enumerate() if it not in threads_before and _is_ours(it)]
        happened(lambda: not any(it.is_alive() for it in left), END_SECONDS)
        return Found(
            sessions_left_open=self._open_sessions(),
            jobs_paid_twice=paid_twice(self._measured()),
            results_lost_or_swapped=lost_or_swapped(self._history, self._player.notes),
            reservations_left=self._reservations(),
            threads_left=sum(it.is_alive() for it in left),
            told=[
                *(f"thread {it.name}" for it in left if it.is_alive()),
                *(f"{number}: {error!r}" for number, error in self._player.notes.refused),
            ],
        )

    def _run_to_the_end(self) -> None:
        flow = self._player.flow(self._service.credentials)
        # As whoever runs a flow sees it; what is checked is what is left.
        with suppress(Exception, Died):
            self._finish(flow())
        for _ in range(len(self._history.attempts)):
            played = self._player.notes.attempts
            if not self._is_to_be_resumed(played):
                return
            self._api.come_back()
            with suppress(Exception, Died), get_client(sync_client=True) as client:
                assert self._flow_run_id is not None
                client.set_flow_run_state(self._flow_run_id, AwaitingRetry(), force=True)
                self._finish(run_flow(flow, client.read_flow_run(self._flow_run_id)))
            if played == self._player.notes.attempts:
                return

    @staticmethod
    def _finish(running: Any) -> None:
        if inspect.isawaitable(running):
            asyncio.run(_awaited(running))

    def _is_to_be_resumed(self, played: int) -> bool:
        attempts = self._history.attempts
        return 0 < played < len(attempts) and attempts[played - 1].end is End.DIE

    def _look(self) -> Any:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        self._flow_run_id = context.flow_run.id
        session = session_owned_by(context)
        assert session is not None
        return session._bind(context)

    def _make_trouble(self, each: Round) -> None:
        for trouble in each.trouble:
            if isinstance(trouble, Fault):
                self._service.emulator.faults.add(trouble)
            else:
                self._happen(trouble)

    def _happen(self, what: Elsewhere) -> None:
        match what:
            case Elsewhere.LOST:
                _clock_of(self._service.emulator).advance(LOST_AFTER_SECONDS)
            case Elsewhere.CLOSED | Elsewhere.CANCELLED:
                for session in self._own_sessions():
                    with suppress(Exception):
                        other = ClientSession.from_id(session.id, self._service.client)
                        other.close() if what is Elsewhere.CLOSED else other.cancel()
            case Elsewhere.API_SLOW:
                self._api.slow_down(SLOW_SECONDS)
            case Elsewhere.API_GONE:
                self._api.go()
                back = threading.Timer(GONE_SECONDS, self._api.come_back)
                back.daemon = True
                back.start()

    def _own_sessions(self) -> list[Any]:
        return self._service.emulator.sessions[self._sessions_before :]

    def _open_sessions(self) -> int:
        # One without a job bills nothing, and the service closes it by itself.
        return sum(it.ended_by is None and bool(it.job_ids) for it in self._own_sessions())

    def _reservations(self) -> int:
        """Return what is kept back once what is over is accounted for, as for the next job."""
        if self._flow_run_id is None:
            return 0
        manager = self._player.notes.looked[-1]
        with suppress(Exception):
            settle_what_is_over(manager.activity, self._service.client, self._flow_run_id)
        return len(manager.spending.budget._under_way)

    def _measured(self) -> Iterator[int]:
        """Yield the numbers that were measured, and paid, as the client itself reads them."""
        for job in self._service.emulator.jobs[self._jobs_before :]:
            if job.status == "Completed":
                yield from numbers_in(self._service.client.job(job.id).result())


async def _awaited(running: Awaitable[Any]) -> None:
    await running


def _is_ours(thread: threading.Thread) -> bool:
    # A worker's process outlives the flow run, and so for a while does what sends its events.
    return thread.name != "qsession-worker-events" and thread.name.startswith(
        ("qsession", "history-worker", "ThreadPoolExecutor")
    )


def _clock_of(emulator: Emulator) -> HandClock:
    assert isinstance(emulator.clock, HandClock)
    return emulator.clock


@contextmanager
def _going_on(emulator: Emulator) -> Iterator[None]:
    """Move the emulator's clock on, as long as the context lasts."""
    over, clock = threading.Event(), _clock_of(emulator)

    def go_on() -> None:
        while not over.wait(TICK_SECONDS):
            clock.advance(SECONDS_A_TICK)

    thread = threading.Thread(target=go_on, name="emulator-clock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
