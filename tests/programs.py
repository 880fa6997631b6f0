"""Programs that tests start."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any

LIMIT_SECONDS = 240.0


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """
    Start a program, and wait for its end when the test has done its part.

    It is killed when the test fails, and when it is still there after four minutes, which also ends
    whatever the test reads from it. So neither can wait for the other for ever.
    """
    program = subprocess.Popen(command, **options)
    alarm = Timer(LIMIT_SECONDS, program.kill)
    alarm.daemon = True
    alarm.start()
    try:
        with program:
            try:
                yield program
            except BaseException:
                program.kill()
                raise
    finally:
        alarm.cancel()
