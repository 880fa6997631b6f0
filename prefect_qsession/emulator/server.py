"""The emulator as a server: in a thread of a test, or in a process of its own."""

import asyncio
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable
from typing import Self

import uvicorn

from prefect_qsession.emulator.computing.pool import SimulatorPool
from prefect_qsession.emulator.faults.registry import Faults
from prefect_qsession.emulator.rules.records import EndedBy, JobRecord, SessionRecord
from prefect_qsession.emulator.rules.service import Service
from prefect_qsession.emulator.running.clock import HandClock, RunningClock
from prefect_qsession.emulator.running.device_data import load_device
from prefect_qsession.emulator.running.running_service import RunningService
from prefect_qsession.emulator.settings import (
    DEFAULT_API_KEY,
    RUNTIME_PREFIX,
    DeviceStatus,
    EmulatorSettings,
    InstanceSettings,
)
from prefect_qsession.emulator.views.changes import Changes
from prefect_qsession.emulator.views.overview import Overview, overview
from prefect_qsession.emulator.wire.app import create_app
from prefect_qsession.emulator.wire.identity import Identity
from prefect_qsession.emulator.wire.network import Address, FaultyNetwork

LOOPBACK = "127.0.0.1"


class Emulator:
    """
    Emulate the Qiskit Runtime service on loopback, for as long as the context lasts.

    On leaving, the server, its threads and the simulator processes it started are gone, also when
    the context is left by an exception. An emulator runs once.

    Args:
        settings: What the service is made of.
        host: The address to listen on. Anything but loopback is open to the network: the instances
            must have API keys of their own then, and the control routes and the page need one too.
        port: The port to listen on; 0 takes a free one.
        simulators: A pool shared with other emulators; left running on exit.
    """

    def __init__(
        self,
        settings: EmulatorSettings | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        simulators: SimulatorPool | None = None,
    ) -> None:
        self.settings = settings or EmulatorSettings()
        self.clock: HandClock | RunningClock = (
            HandClock() if self.settings.hand_clock else RunningClock(self.settings.time_scale)
        )
        self._own_simulators = simulators is None
        self._simulators = simulators or SimulatorPool(
            limit_seconds=self.settings.simulation_limit_seconds
        )
        devices = [load_device(device) for device in self.settings.devices]
        service = Service(self.settings, devices)
        self._running = RunningService(service, self.clock, self._simulators)
        self.faults = Faults(self.clock, self.settings.seed)
        identity = Identity(self.settings.instances, self.settings.token_lifetime_seconds)
        is_open = not _is_loopback(host)
        if is_open and any(DEFAULT_API_KEY in each.api_keys for each in self.settings.instances):
            msg = f"{host} is open to the network: give every instance API keys of your own"
            raise ValueError(msg)
        app = create_app(
            self._running,
            identity,
            self.faults,
            with_control=self.settings.control,
            control_needs_key=is_open,
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                FaultyNetwork(app, self.faults, self._running, self._cut),
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Longer than a client thinks between two jobs: a connection that closes just when
                # it is used again is a fault that nobody asked for.
                timeout_keep_alive=75,
                # It would let a header say which connection a request came by.
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._bound_address: tuple[str, int] | None = None
        self._thread: threading.Thread | None = None

    # -- what a test looks at

    @property
    def url(self) -> str:
        """The address of the emulator, which is also that of IAM and of resource search."""
        if self._bound_address is None:
            msg = "the emulator was not started"
            raise RuntimeError(msg)
        host, port = self._bound_address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def runtime_url(self) -> str:
        """The address of the Qiskit Runtime API."""
        return self.url + RUNTIME_PREFIX

    def environment(self, instance: InstanceSettings | None = None) -> dict[str, str]:
        """
        Return the environment in which an unmodified client talks to this emulator.

        `QiskitRuntimeService()` then needs no argument. *instance* is one of the settings', the
        first if not given.
        """
        chosen = instance or self.settings.instances[0]
        return {
            "QISKIT_IBM_CHANNEL": "ibm_quantum_platform",
            "QISKIT_IBM_TOKEN": chosen.api_keys[0],
            "QISKIT_IBM_URL": self.runtime_url,
            "QISKIT_IBM_INSTANCE": chosen.crn,
            "IAM_URL": self.url,
            "GLOBAL_SEARCH_URL": self.url,
            "GLOBAL_CATALOG_URL": f"{self.url}/catalog",
        }

    @property
    def sessions(self) -> list[SessionRecord]:
        """Every session and batch so far, as it stands now, in order of creation."""
        with self._running.up_to_date() as (service, now):
            return service.records(now)[0]

    @property
    def outcomes(self) -> list[EndedBy | None]:
        """How each session and batch ended, `None` for one that has not, in order of creation."""
        return [session.ended_by for session in self.sessions]

    @property
    def jobs(self) -> list[JobRecord]:
        """Every job so far, as it stands now, in order of creation."""
        with self._running.up_to_date() as (service, now):
            return service.records(now)[1]

    @property
    def overview(self) -> Overview:
        """What there is to see now, at a cost that hardly grows with what has been."""
        with self._running.up_to_date() as (service, now):
            return overview(service, self.faults.standing, now)

    def set_device_status(self, name: str, status: DeviceStatus) -> None:
        """
        Take a device into maintenance (`"paused"`), or out of service (`"offline"`), or back.

        What runs on it goes on. Raises `ServiceError` if there is no such device.
        """
        with self._running.up_to_date() as (service, now):
            service.set_device_status(name, status, now)

    def changes(self) -> Changes:
        """Return what tells every change of a session or job once, beginning with the first."""
        return Changes(self._running)

    # -- its life

    def start(self) -> Self:
        """Listen and answer, in a thread. Raise `OSError` if the port is taken."""
        self._socket = self._bind()
        self._simulators.start()
        self._running.start()
        self._thread = threading.Thread(
            target=self._serve, args=(self._socket,), name="emulator-server", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering and leave nothing behind. Safe to repeat."""
        self._server.should_exit = True
        # First of all, so that no request waits for time to pass.
        self.faults.stop()
        self._running.stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._own_simulators:
            self._simulators.close()
        if self._socket is not None:
            self._socket.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _bind(self) -> socket.socket:
        if self._socket is not None:
            msg = "an emulator runs once"
            raise RuntimeError(msg)
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            *self._address, type=socket.SOCK_STREAM
        )
        # With the protocol named, asyncio sends small answers at once; without it, connections
        # inherit "any" and each answer waits 40 ms for the client's acknowledgement.
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            # Connections are queued from here on, even before the server looks at them.
            listening.listen(128)
        except OSError:
            listening.close()
            raise
        self._bound_address = listening.getsockname()[:2]
        return listening

    def _cut(self, client: Address) -> None:
        """Cut the connection of *client* as a failing network does. In the server's thread."""
        for connection in tuple(self._server.server_state.connections):
            if connection.transport.get_extra_info("peername")[:2] == client:
                connection.transport.abort()

    def _serve(self, listening: socket.socket) -> None:
        asyncio.run(self._server.serve(sockets=[listening]))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    settings: EmulatorSettings | None = None,
    host: str = LOOPBACK,
    port: int = 0,
    on_ready: Callable[[Emulator], None] | None = None,
) -> None:
    """
    Run an emulator until SIGINT or SIGTERM, then stop it and return.

    Calls *on_ready* with the emulator once connections are accepted. For the main thread: signals
    are answered there, and answered as before afterwards.
    """
    ended = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in signals}
    try:
        with Emulator(settings, host=host, port=port) as emulator:
            if on_ready is not None:
                on_ready(emulator)
            ended.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
