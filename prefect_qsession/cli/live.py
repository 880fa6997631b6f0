"""What happens in an emulator, as it happens: a picture on a terminal, lines anywhere else."""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from prefect_qsession.emulator import Emulator
    from prefect_qsession.emulator.views.changes import Change
    from prefect_qsession.emulator.views.overview import Overview

LOOK_SECONDS = 0.5
STOP_SECONDS = 2.0

# What else is on the screen: the lines printed at the start, heads, the prompt that comes after.
_OTHER_LINES = 22

_STYLES = {
    "active": "blue",
    "Running": "blue",
    "Completed": "green",
    "close": "green",
    "Failed": "red",
    "Cancelled": "red",
    "cancel": "red",
}


class LiveView:
    """
    Shows an emulator on the standard output, from a thread of its own, until it is stopped.

    Whoever reads slowly, or not at all, slows down this thread and nothing else.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, emulator: "Emulator") -> None:
        """Begin to show."""
        # A file of its own: if this thread is stuck in a write when the program ends, Python would
        # wait for the lock of the one they share.
        out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="replace")
        show = self._draw if out.isatty() else self._log
        self._thread = threading.Thread(
            target=self._show, args=(show, emulator, out), name="emulator-watch", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Show how it ended, and no more. Safe to repeat, and if it was never started."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _show(
        self, show: "Callable[[Emulator, IO[str]], None]", emulator: "Emulator", out: IO[str]
    ) -> None:
        # A reader that has gone is no reason to stop the emulator, or to print a traceback.
        with suppress(OSError), out:
            show(emulator, out)

    def _draw(self, emulator: "Emulator", out: IO[str]) -> None:
        console = Console(file=out)
        with Live(console=console, auto_refresh=False) as live:
            is_last = False
            while not is_last:
                is_last = self._ended.wait(LOOK_SECONDS)
                live.update(picture(emulator.overview, console.height), refresh=True)

    def _log(self, emulator: "Emulator", out: IO[str]) -> None:
        changes = emulator.changes()
        is_last = False
        while not is_last:
            is_last = self._ended.wait(LOOK_SECONDS)
            out.writelines(f"{line(change)}\n" for change in changes.look())
            out.flush()


def line(change: "Change") -> str:
    """Write a change as a line. It begins as a comment, so that a shell can read what came out."""
    time = datetime.fromtimestamp(change.at, UTC)
    words = [f"# {time:%H:%M:%S}.{time.microsecond // 1000:03}", change.kind, change.id]
    words += [change.state, "on", change.backend]
    if change.session_id is not None:
        words += ["in", change.session_id]
    if change.ended_by is not None:
        words += ["by", change.ended_by]
    if change.reason_code is not None:
        words += ["with code", str(change.reason_code)]
    return " ".join(words)


def picture(seen: "Overview", height: int) -> Group:
    """Draw what there is to see, on a terminal of so many lines."""
    room = max(9, height - _OTHER_LINES - len(seen.devices))
    return Group(
        _summary(seen),
        _devices(seen),
        Text(),
        _sessions(seen, room // 3),
        Text(),
        _jobs(seen, room - room // 3),
    )


def _summary(seen: "Overview") -> Text:
    time = datetime.fromtimestamp(seen.now, UTC)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(seen.job_counts.items()))
    return Text(
        f"\n{time:%H:%M:%S} UTC   {seen.open_session_count} of {seen.session_count} sessions open"
        f"   {seen.job_count} jobs{': ' if counts else ''}{counts}\n",
        style="bold",
    )


def _devices(seen: "Overview") -> Table:
    table = _table("DEVICE", "STATUS", "RUNS NOW", "HELD BY", "QUEUE")
    for device in seen.devices:
        runs = device.job_id or ("another tenant" if device.is_taken else "nothing")
        if device.other_jobs:
            runs += f" + {device.other_jobs} off the QPU"
        holder = device.session_id[:8] if device.session_id else ""
        table.add_row(
            *map(Text, (device.name, device.status, runs, holder, str(device.queue_length)))
        )
    return table


def _sessions(seen: "Overview", room: int) -> Table:
    table = _table("SESSION", "BACKEND", "STATE", "JOBS", "WAITING", "AGE s", "USAGE s")
    for session in seen.sessions[:room]:
        table.add_row(
            _id(session.id),
            Text(session.backend),
            _state(f"closed by {session.ended_by}" if session.ended_by else session.state),
            Text(str(session.jobs)),
            Text(str(session.waiting_jobs)),
            Text(f"{session.age_seconds:.0f}"),
            Text(f"{session.usage_seconds:.1f}"),
        )
    return table


def _jobs(seen: "Overview", room: int) -> Table:
    table = _table("JOB", "PROGRAM", "STATUS", "SESSION", "QUEUED s", "QPU s")
    for job in seen.jobs[:room]:
        table.add_row(
            _id(job.id),
            Text(job.program),
            _state(job.status),
            _id(job.session_id[:8] if job.session_id else "none"),
            Text("" if job.queue_seconds is None else f"{job.queue_seconds:.1f}"),
            Text("" if job.qpu_seconds is None else f"{job.qpu_seconds:.2f}"),
        )
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        is_number = title in {"QUEUE", "JOBS", "WAITING"} or title.endswith(" s")
        # Where the terminal is too narrow, ids are cut first; eight characters tell them apart.
        is_id = title in {"SESSION", "JOB"}
        justify: JustifyMethod = "right" if is_number else "left"
        table.add_column(title, justify=justify, no_wrap=not is_id, min_width=9 * is_id or None)
    return table


def _id(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _state(words: str) -> Text:
    return Text(words, style=_STYLES.get(words.rsplit(maxsplit=1)[-1], ""))
