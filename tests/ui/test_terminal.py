"""What `qsession emulator start` shows while it runs: on a terminal, and in a pipe."""

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator

import pytest
import requests
from qiskit_ibm_runtime import QiskitRuntimeService, Session
from rich.console import Console

from prefect_qsession.cli.live import line, picture
from prefect_qsession.emulator import FailJob, Fault
from tests.emulator.conftest import legacy_sampler, one_bit
from tests.harness.waiting import wait_until
from tests.programs import started

START = [sys.executable, "-m", "prefect_qsession.cli", "emulator", "start", "--job-seconds", "0.1"]
LINES, COLUMNS = 40, 120


class Shown:
    """What a program has shown so far, read as it comes."""

    def __init__(self, reading: int) -> None:
        self.text = ""
        self._reading = reading
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        # A terminal whose program has ended is an error to read from.
        with open(self._reading, "rb", buffering=0, closefd=False) as stream:
            while True:
                try:
                    piece = stream.read(65536)
                except OSError:
                    return
                if not piece:
                    return
                self.text += piece.decode()

    def environment(self) -> dict[str, str]:
        """Return what it printed for a client, when it has."""
        wait_until(lambda: "Ctrl-C" in self.text)
        return dict(re.findall(r"export (\w+)='(.*)'", self.text))


@pytest.fixture
def terminal() -> Iterator[tuple[Shown, int]]:
    """Open a terminal; return what is shown on it, and its end for a program."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    yield Shown(ours), theirs
    os.close(ours)


def printed_at_start(emulator: subprocess.Popen[bytes]) -> str:
    """Return what an emulator prints until it has said how to end it, and not a byte more."""
    printed = b""
    while b"Ctrl-C stops it.\n" not in printed and (byte := os.read(emulator.stdout.fileno(), 1)):
        printed += byte
    return printed.decode()


def run_one_job(environment: dict[str, str], monkeypatch) -> str:
    """Run a job in a session of the unmodified client, and return the session's id."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Session(QiskitRuntimeService().backend("ibm_manila")) as session:
        legacy_sampler(session).run([one_bit()]).result()
    return session.session_id


def test_a_terminal_shows_sessions_and_jobs_and_is_left_tidy(terminal, monkeypatch):
    """The picture follows what happens; after Ctrl-C the cursor is back and the end is clean."""
    shown, theirs = terminal
    environment = os.environ | {"TERM": "xterm-256color"}
    with started(START, stdout=theirs, stderr=theirs, env=environment) as emulator:
        os.close(theirs)
        session_id = run_one_job(shown.environment(), monkeypatch)
        wait_until(lambda: "closed by close" in shown.text and "Completed" in shown.text)
        emulator.send_signal(signal.SIGINT)

    assert 0 == emulator.returncode
    assert session_id in shown.text
    wait_until(lambda: shown.text.rfind("\x1b[?25h") > shown.text.rfind("\x1b[?25l") >= 0)
    assert "Traceback" not in shown.text


def test_a_pipe_gets_a_line_for_every_change(monkeypatch):
    """Each state is told once and in order, as comments, so that a shell can read it all."""
    with started(START, stdout=subprocess.PIPE) as emulator:
        shown = Shown(emulator.stdout.fileno())
        session_id = run_one_job(shown.environment(), monkeypatch)
        wait_until(lambda: f"{session_id} closed" in shown.text)
        emulator.send_signal(signal.SIGINT)
        emulator.wait()
    told = re.findall(r"^# [\d:.]+ (session|job) \S+ (\w+) on ibm_manila", shown.text, re.MULTILINE)

    assert 0 == emulator.returncode
    assert [
        ("session", "open"),
        ("job", "Queued"),
        ("job", "Running"),
        ("session", "active"),
        ("job", "Completed"),
        ("session", "closed"),
    ] == told
    assert all(text.startswith(("#", "export ")) for text in shown.text.splitlines())
    assert "\x1b" not in shown.text


def test_a_reader_who_stops_reading_stops_nothing():
    """With a full pipe the emulator answers as before, and ends as before."""
    with started(START, stdout=subprocess.PIPE) as emulator:
        printed = printed_at_start(emulator)
        fcntl.fcntl(emulator.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        [url] = re.findall(r"IAM_URL='(.*)'", printed)
        [crn] = re.findall(r"INSTANCE='(.*)'", printed)
        headers = {"Authorization": "apikey emulator-api-key", "Service-CRN": crn}
        wanted = {"backend": "ibm_manila", "instance": crn, "mode": "dedicated"}
        with requests.Session() as client:
            for _ in range(100):
                answer = client.post(
                    f"{url}/experimental/api/v1/sessions", json=wanted, headers=headers, timeout=5
                )
                answer.raise_for_status()
        emulator.send_signal(signal.SIGTERM)
        status = emulator.wait(20)

    assert 0 == status


def test_a_reader_who_is_gone_stops_nothing():
    """A closed pipe is no error of the emulator."""
    with started(START, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as emulator:
        printed = printed_at_start(emulator)
        emulator.stdout.close()
        [url] = re.findall(r"IAM_URL='(.*)'", printed)
        [crn] = re.findall(r"INSTANCE='(.*)'", printed)
        requests.post(
            f"{url}/experimental/api/v1/sessions",
            json={"backend": "ibm_manila", "instance": crn, "mode": "dedicated"},
            headers={"Authorization": "apikey emulator-api-key", "Service-CRN": crn},
            timeout=5,
        ).raise_for_status()
        emulator.send_signal(signal.SIGTERM)
        errors = emulator.stderr.read()

    assert 0 == emulator.returncode
    assert b"" == errors


def test_changes_are_told_once_whoever_ended_the_session(bench):
    """A cancelled session says so, and a second look tells nothing again."""
    changes = bench.emulator.changes()
    with Session(bench.backend) as session:
        bench.submit(session)
        bench.submit(session)
        session.cancel()
    first = [line(change).split()[2:] for change in changes.look()]
    again = changes.look()
    bench.clock.advance(10)
    last = [line(change).split()[2:] for change in changes.look()]
    [running, dropped] = [job.id for job in bench.emulator.jobs]
    ours = ["on", "ibm_manila"]
    inside = [*ours, "in", session.session_id]

    assert [
        ["session", session.session_id, "open", *ours],
        ["job", running, "Queued", *inside],
        ["job", running, "Running", *inside],
        ["job", dropped, "Queued", *inside],
        ["job", dropped, "Cancelled", *inside],
        ["session", session.session_id, "active", *ours],
    ] == first
    assert [] == again
    assert [
        ["job", running, "Completed", *inside],
        ["session", session.session_id, "closed", *ours, "by", "cancel"],
    ] == last


def test_a_failed_job_is_told_with_its_code(bench):
    """The code is what a user searches for."""
    bench.emulator.faults.add(Fault("/jobs", FailJob(1517, at_once=True), method="POST"))
    job = bench.submit()

    told = [line(change) for change in bench.emulator.changes().look()]

    assert told[-1].endswith(f"job {job.job_id()} Failed on ibm_manila with code 1517")


@pytest.mark.parametrize("height", [10, 24, 40])
def test_the_picture_fits_on_the_terminal(bench, height):
    """However much has been, newest first, with nothing but plain words in it."""
    for _ in range(30):
        with Session(bench.backend) as session:
            bench.submit(session, environment={"job_tags": ["[red]"]})
    screen = Console(file=io.StringIO(), width=COLUMNS, height=height, record=True)
    screen.print(picture(bench.emulator.overview, height))
    drawn = screen.export_text()

    assert len(drawn.splitlines()) <= max(height, 24)
    assert session.session_id in drawn
    assert bench.emulator.jobs[-1].id in drawn
