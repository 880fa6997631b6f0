"""Sessions opened by the real client, and processes that guard them."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from prefect_qsession.config.modes import Mode
from prefect_qsession.emulator import Emulator
from prefect_qsession.ibm.records import RuntimeAccount
from prefect_qsession.ibm.service import Runtime
from prefect_qsession.prefect_api.requests import OCCURRED, HttpRequest
from prefect_qsession.release.records import Ward
from prefect_qsession.states import Release

REPOSITORY = Path(__file__).parents[2]


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended; one that nobody has waited for has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def outcomes(emulator: Emulator) -> list[str | None]:
    """Return how each session ended, by the emulator's own record."""
    return [session.ended_by for session in emulator.sessions]


class FlowProcess:
    """A process of its own that does as told with its guardian, until it dies."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        """Other processes that it has named; what is left of them is ended with it."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.guardian.flow_process"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(REPOSITORY),
                "PYTHONWARNINGS": "always::ResourceWarning",
                "QISKIT_IBM_TOKEN": "a-secret-of-the-environment",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def tell(self, action: str, *arguments: Any) -> None:
        """Have it do something."""
        self.process.stdin.write(json.dumps([action, *arguments]) + "\n")
        self.process.stdin.flush()

    def ask(self, action: str, *arguments: Any) -> Any:
        """Have it do something, and return what it says."""
        self.tell(action, *arguments)
        answer = json.loads(self.process.stdout.readline())
        for pid in answer if isinstance(answer, list) else [answer]:
            if isinstance(pid, int):
                self.seen.add(pid)
        return answer

    def guard(self, ward: Ward) -> int:
        """Have it guard a session, and return the guardian's pid."""
        return self.ask("guard", asdict(ward))

    def settled_pid(self) -> int | None:
        """Return the guardian's pid, once nobody is busy with replacing it."""
        # Discharging, be it nothing, waits for its turn; looking at the pid does not.
        return self.ask("discharge", "no session")

    def end(self, sent: signal.Signals = signal.SIGKILL) -> str:
        """End it by a signal; return what it has printed to its standard error."""
        self.process.send_signal(sent)
        return self.process.communicate(timeout=30)[1]

    def finish(self) -> str:
        """Have it come to its natural end; return what it has printed to its standard error."""
        return self.process.communicate(timeout=30)[1]

    def clear(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        for pid in self.seen:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        # After its children, which hold its pipes open.
        if not self.process.stdout.closed:
            self.process.communicate()


@pytest.fixture
def start_flow_process() -> Iterator[Callable[[], FlowProcess]]:
    """Start processes that may guard sessions."""
    with ExitStack() as stack:

        def start() -> FlowProcess:
            process = FlowProcess()
            stack.callback(process.clear)
            return process

        yield start


@pytest.fixture
def flow_process(start_flow_process) -> FlowProcess:
    """Start one process that may guard sessions."""
    return start_flow_process()


@pytest.fixture
def open_ward(emulator) -> Callable[..., Ward]:
    """Open a session by the real client, and return what it takes to guard it."""
    environment = emulator.environment()
    account = RuntimeAccount(
        api_key=environment["QISKIT_IBM_TOKEN"],
        instance=environment["QISKIT_IBM_INSTANCE"],
        channel=environment["QISKIT_IBM_CHANNEL"],
        runtime_url=environment["QISKIT_IBM_URL"],
        auth_url=environment["IAM_URL"],
        search_url=environment["GLOBAL_SEARCH_URL"],
        catalog_url=environment["GLOBAL_CATALOG_URL"],
    )
    runtime = Runtime(account, "ibm_manila")

    def open_session(
        outcome: Release = Release.CANCEL,
        forget: HttpRequest | None = None,
        tell: Mapping[Release, HttpRequest] | None = None,
        **changes: Any,
    ) -> Ward:
        session_id = runtime.open_session(600, Mode.SESSION, "qsession-run:guarded").session_id
        return Ward(session_id, replace(runtime.access, **changes), outcome, forget, tell or {})

    return open_session


class LedgerServer:
    """A server that notes what it was asked and told, and how the sessions stood at that moment."""

    def __init__(self, emulator: Emulator) -> None:
        self.asked: list[tuple[str, str, str | None, list[str | None]]] = []
        self.told: list[str] = []
        self.statuses = [204]
        noted = self

        class Handler(BaseHTTPRequestHandler):
            def do_DELETE(self) -> None:
                if body := self.rfile.read(int(self.headers["Content-Length"] or 0)):
                    noted.told.append(body.decode())
                entry = (self.command, self.path, self.headers["Authorization"], outcomes(emulator))
                noted.asked.append(entry)
                statuses = noted.statuses
                self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
                self.send_header("Location", f"{noted.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_PATCH = do_POST = do_DELETE  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/entry"
        self.forget = HttpRequest("DELETE", self.url, {"Authorization": "Bearer of-the-ledger"})
        self.tell = {
            outcome: HttpRequest("POST", self.url, body=f"{outcome} at {OCCURRED}")
            for outcome in Release
        }


@pytest.fixture
def ledger(emulator) -> Iterator[LedgerServer]:
    """Run a server that stands for the ledger's API."""
    ledger = LedgerServer(emulator)
    thread = threading.Thread(target=ledger.server.serve_forever)
    thread.start()
    yield ledger
    ledger.server.shutdown()
    thread.join()
    ledger.server.server_close()
