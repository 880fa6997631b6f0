"""
Scripts that need not import anything: forks of one process that has.

    python -m tests.harness.forks

It imports Prefect, Qiskit and the flows, starts no thread, and forks a child for each line of its
standard input, a JSON object; it answers each with the child's process id. A child is a script like
any other from there on: it has a session and a process group of its own, the signals of a new
process, a log for its output, and ends as an interpreter ends.
"""

import ctypes
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any, Self
from uuid import UUID

from demo.servers import ROOT
from tests.harness.flow_calls import FlowCall

IMPORTED = (
    "anyio._backends._asyncio",
    "tests.harness.calls",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.telemetry.run_telemetry",
    "prefect_qsession.ibm.service",
    "prefect_qsession.ibm.primitives",
    "prefect_qsession.ibm.fingerprints",
    "prefect_qsession.reaper",
    "prefect_qsession.release.safeguards",
)
"""All that a flow run would import, also what our modules import late."""

CLONE_NEWPID = 0x20000000
"""From `linux/sched.h`; Python has it from 3.12 on."""

AS_IN_A_NEW_PROCESS: dict[signal.Signals, Any] = {
    signal.SIGCHLD: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGTERM: signal.SIG_DFL,
    # A shell's background jobs, and what they start, would ignore it.
    signal.SIGINT: signal.default_int_handler,
}


class ForkServer:
    """The process that forks; any thread may ask. Leaving the context ends it, not its children."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = dict(environment) | {
            # Threads would not survive the fork.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        self._log = log
        self._asking = Lock()

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.harness.forks"],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._process.communicate()

    def run(
        self, call: FlowCall, log: Path, environment: Mapping[str, str], *, elsewhere: bool = False
    ) -> int:
        """
        Have a script make a call; return the id of its process.

        Args:
            call: What it calls.
            log: Where its output goes.
            environment: What it has beside the environment of all.
            elsewhere: Whether processes have other ids there, as in a container; what is returned
                is then the id of the script's parent.
        """
        what = asdict(call) | {"environment": {**environment, **call.environment}}
        return self._fork(log, **what, elsewhere=elsewhere)

    def reap(self, flow_run_id: UUID, log: Path) -> int:
        """Have the reaper look at the sessions of one flow run; return the id of its process."""
        return self._fork(log, reap=str(flow_run_id), environment={})

    def _fork(self, log: Path, **what: Any) -> int:
        request = json.dumps({"log": str(log), **what})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"The fork server is gone; see {self._log}")
        return int(answer)


# -- its own process


def main() -> None:
    """Import everything once, then fork for every request."""
    for module in IMPORTED:
        importlib.import_module(module)
    # What is here stays here: a child's garbage collector need not look at it, and copy it.
    gc.collect()
    gc.freeze()
    # The kernel then keeps no zombies of children.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            request = json.loads(line)
            _grow_up(request["log"], request["environment"])
            if request.get("elsewhere"):
                _leave_namespace()
            return _reap(request) if "reap" in request else _run(request)
        print(pid, flush=True)
    return None


def _grow_up(log: str, environment: Mapping[str, str]) -> None:
    os.setsid()
    for number, action in AS_IN_A_NEW_PROCESS.items():
        signal.signal(number, action)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)


def _leave_namespace() -> None:
    """Go on as process 1 of a new namespace of process ids; the process outside waits for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWPID) != 0:
        raise OSError(ctypes.get_errno(), "no new namespace of process ids")
    if inside := os.fork():
        os.waitpid(inside, 0)
        os._exit(0)


def _run(request: Mapping[str, Any]) -> None:
    from tests.harness import calls, flows  # noqa: PLC0415 - they import everything

    flow = getattr(flows, request["flow"])
    if request["timeout_seconds"] is not None:
        flow = flow.with_options(timeout_seconds=request["timeout_seconds"])
    calls.CALLS[request["how"]](flow, request["parameters"])


def _reap(request: Mapping[str, Any]) -> None:
    from prefect_qsession import reap_sessions  # noqa: PLC0415

    print(*reap_sessions(flow_run_id=UUID(request["reap"])), sep="\n")


if __name__ == "__main__":
    main()
