"""Processes of a benchmark, and what they answer."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from demo.servers import ROOT


@contextmanager
def process(*module_and_arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python module as a process, until the end of the context."""
    command = [sys.executable, "-m", *module_and_arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.terminate()


def first_line(started: subprocess.Popen[str]) -> str:
    """Return what a process says first, when it says it."""
    line = started.stdout.readline() if started.stdout else ""
    if not line:
        raise SystemExit(f"{started.args!r} did not start.")
    return line


def answer_of(*arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run Python with these arguments, and return what its last line says, as JSON."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
