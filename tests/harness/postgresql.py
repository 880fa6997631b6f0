"""A PostgreSQL of its own, on a free port, for as long as it is needed."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.servers import LOOPBACK, START_SECONDS, free_port

_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
"""Where a Prefect server keeps what it knows; without it, in SQLite, in its home."""

# Where Debian puts them; they are not on the path, as several versions may be there.
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)


def binaries() -> Path | None:
    """Return where PostgreSQL's programs are; None if it is not installed."""
    on_path = shutil.which("initdb")
    found = Path(on_path) if on_path else next(iter(_DEBIAN), None)
    return found.parent if found else None


@contextmanager
def _postgresql(programs: Path) -> Iterator[str]:
    """Run an empty database, and return its address as Prefect's server takes it."""
    # It refuses to run as root, whom a container has; another user cannot pass through a directory
    # that is root's own.
    user: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as home:
        if user:
            shutil.chown(home, "postgres")
        data, port = f"{home}/data", str(free_port())
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "prefect", "-A", "trust", "-E", "UTF8", "-N"],
            check=True,
            capture_output=True,
            cwd=home,
            **user,
        )
        command = [str(programs / "postgres"), "-D", data, "-h", LOOPBACK, "-p", port, "-k", home]
        with subprocess.Popen(
            [*command, "-F", "-N", "200"],
            cwd=home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **user,
        ) as server:
            try:
                _wait_until_ready(server, Path(data, "postmaster.pid"))
                yield f"postgresql+asyncpg://prefect@{LOOPBACK}:{port}/postgres"
            finally:
                # A fast shutdown: connections that are still open are ended.
                server.send_signal(signal.SIGINT)


@contextmanager
def database_where_installed() -> Iterator[dict[str, str]]:
    """
    Run a database for one Prefect server, and return its settings: none without PostgreSQL.

    On SQLite, a server whose clients are killed stands still for a minute now and then ("database
    is locked"), and what it keeps waiting would be measured.
    """
    programs = binaries()
    if programs is None:
        yield {}
    else:
        with _postgresql(programs) as url:
            yield {_DATABASE: url}


def _wait_until_ready(server: "subprocess.Popen[Any]", status: Path) -> None:
    # The file's last line says how the server stands.
    deadline = time.monotonic() + START_SECONDS
    while not (status.exists() and "ready" in status.read_text()):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("PostgreSQL did not start.")
        time.sleep(0.02)
