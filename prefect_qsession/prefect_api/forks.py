"""
Forks of a flow's process: they have all that it has by mistake, and may use none of it.

What is the flow run's is marked with the process that made it. `multiprocessing`, process pools and
a bare `os.fork()` are the same here.
"""

import os
import sys
import traceback
from typing import NoReturn

from prefect_qsession.exceptions import InOtherProcess

_forks = 0
"""How often this process, and those that it is a fork of, were forked off."""


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - a fork has one thread
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class HomeProcess:
    """The process in which this was made; asks no lock, which a fork might wait for for ever."""

    # Not by its id, which a fork in a namespace of its own may share with its parent.
    def __init__(self) -> None:
        self._forks = _forks

    @property
    def is_this(self) -> bool:
        """Whether this is the process; False in every fork of it."""
        return self._forks == _forks

    def check(self, asked_for: str) -> None:
        """
        Do nothing if this is the process.

        Raises:
            InOtherProcess: It is a fork.
        """
        if not self.is_this:
            raise InOtherProcess(asked_for, "this process is a fork of the flow's")


def end_fork(error: BaseException | None) -> NoReturn:
    """End a fork as `multiprocessing` ends its own: nothing that its parent has begun is ended."""
    code: object = None
    if isinstance(error, SystemExit):
        code = error.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)  # noqa: T201 - as the interpreter does
            code = 1
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        # None where there is no terminal.
        if stream is not None:
            stream.flush()
    os._exit(code if isinstance(code, int) else 0)
