"""
Stands in for a flow's process: `python -m tests.guardian.flow_process`.

Each line of its input is an action by name with its arguments; it prints what that returns. It
knows the guardian and the standard library, nothing else.
"""

import json
import logging
import os
import signal
import sys

from prefect_qsession.ibm.records import ServiceAccess
from prefect_qsession.prefect_api.requests import HttpRequest
from prefect_qsession.release.guardian import guardian
from prefect_qsession.release.records import Ward
from prefect_qsession.states import Release


def guard(ward: dict) -> int | None:
    """Guard a session; return the guardian's pid."""
    forget = ward["forget"] and HttpRequest(**ward["forget"])
    tell = {Release(outcome): HttpRequest(**told) for outcome, told in ward["tell"].items()}
    access = ServiceAccess(**ward["access"])
    guardian().guard(Ward(ward["session_id"], access, Release(ward["outcome"]), forget, tell))
    return guardian().pid


def change(session_id: str, outcome: str) -> None:
    """Release a session in another way."""
    guardian().change(session_id, Release(outcome))


def discharge(session_id: str) -> int | None:
    """Guard a session no longer; return the guardian's pid."""
    guardian().discharge(session_id)
    return guardian().pid


def pid() -> int | None:
    """Return the guardian's pid."""
    return guardian().pid


def fork(ward: dict | None = None) -> list[int | None]:
    """Fork a child that outlives this process; return its pid, and its guardian's."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        inherited = guardian().pid
        # Whatever it says of the parent's sessions is not its business.
        guardian().discharge(ward["session_id"] if ward else "")
        os.write(writing, json.dumps([inherited, guard(ward) if ward else None]).encode())
        # Should nobody be left to end it.
        signal.alarm(120)
        signal.pause()
    return [child, *json.loads(os.read(reading, 100))]


def leave(status: int) -> None:
    """End without a word to anyone, the interpreter included."""
    os._exit(status)


ACTIONS = {action.__name__: action for action in (guard, change, discharge, pid, fork, leave)}

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(ACTIONS[name](*arguments)), flush=True)  # noqa: T201
