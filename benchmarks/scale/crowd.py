"""
Many flow runs with a session each, in one process.

    python -m benchmarks.scale.crowd '{"flow_runs": 250, "devices": 40, ...}'

Says `ready` when all have begun, reads when to open the first session, and prints what was counted
as one line of JSON.
"""

import json
import logging
import sys
import threading
from collections import Counter
from typing import Any

from prefect import Flow
from qiskit import QuantumCircuit

from benchmarks._memory import resident_mib
from benchmarks.scale.ledger import BLOCK
from benchmarks.scale.pace import sleep_until
from prefect_qsession import current_backend, sampler, session_flow

STARTING_AT_ONCE = 2
"""In one process: a start is work for the Prefect server, and not what is measured."""

STARTS = 3
"""How often a flow run is begun, at the most."""

KINDS = {
    ("POST", "/flow_runs/filter"): "monitor",
    ("PATCH", "/variables/"): "heartbeat",
    ("PATCH", "/artifacts/"): "report",
    ("POST", "/artifacts/"): "report",
    ("POST", "/logs/"): "log",
}


class Requests(logging.Handler):
    """Count what Prefect's HTTP client says that it has sent, by what it is for."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.by_kind: Counter[str] = Counter()
        logging.getLogger("httpx").addHandler(self)
        logging.getLogger("httpx").setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        method, url = record.args[:2] if isinstance(record.args, tuple) else ("", "")
        path = str(url).partition("/api")[2]
        kinds = (
            kind
            for (verb, begin), kind in KINDS.items()
            if (method, begin) == (verb, path[: len(begin)])
        )
        self.by_kind[next(kinds, "other")] += 1


class Crowd:
    """The flow runs, each in a thread of its own."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._asked = asked
        self._starting = threading.Semaphore(STARTING_AT_ONCE)
        self._begun = threading.Semaphore(0)
        self._opens = threading.Event()
        self._starts_at = 0.0
        self._flows = [self._flow(f"device_{number}") for number in range(asked["devices"])]
        self._threads = [
            threading.Thread(target=self._live, args=(number,))
            for number in range(asked["flow_runs"])
        ]
        self._under_way: set[int] = set()
        self.errors: list[str] = []
        self.failed_starts: list[str] = []
        """What the Prefect server could not begin, and was asked to begin again."""

    def begin(self) -> None:
        """Have all flow runs begin, and return when they have."""
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            self._begun.acquire()

    def open(self, starts_at: float) -> None:
        """Have them open their sessions from this time on, one after the other."""
        self._starts_at = starts_at
        self._opens.set()

    def wait(self) -> None:
        """Return when all are over."""
        for thread in self._threads:
            thread.join()

    def _live(self, number: int) -> None:
        self._starting.acquire()
        for _ in range(STARTS):
            try:
                self._flows[number % len(self._flows)](number)
            except Exception as error:  # noqa: BLE001 - it is counted
                print(f"Flow run {number}: {error!r}", file=sys.stderr)
                failed = self.errors if number in self._under_way else self.failed_starts
                failed.append(repr(error))
            if number in self._under_way:
                return
        # Nobody must wait for it.
        self._is_under_way(number)

    def _is_under_way(self, number: int) -> None:
        self._under_way.add(number)
        self._starting.release()
        self._begun.release()

    def _flow(self, device: str) -> Flow[Any, Any]:
        @session_flow(BLOCK, backend=device, max_time="8h", name="one-of-many")
        def one_of_many(number: int) -> None:
            self._is_under_way(number)
            self._opens.wait()
            asked = self._asked
            due = self._starts_at + asked["opening"] * number / asked["flow_runs"]
            over = self._starts_at + asked["opening"] + asked["window"]
            while due < over:
                sleep_until(due)
                _run_one_job()
                due += asked["job_every"]
            # None ends before the counting does; and they do not all end in one moment.
            sleep_until(over + asked["opening"] / 2 * number / asked["flow_runs"])

        return one_of_many


def _run_one_job() -> None:
    circuit = QuantumCircuit(current_backend().num_qubits, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    sampler(legacy=True).run([circuit], shots=10).result()


def main() -> None:
    """Live as the command line says."""
    asked = json.loads(sys.argv[1])
    crowd = Crowd(asked)
    crowd.begin()
    # Prefect sets all loggers up when the first flow run begins.
    requests = Requests()
    print("ready", flush=True)
    starts_at = float(sys.stdin.readline())
    before = Counter(requests.by_kind)
    crowd.open(starts_at)
    sleep_until(starts_at + asked["opening"])
    opened = Counter(requests.by_kind)
    sleep_until(starts_at + asked["opening"] + asked["window"] / 2)
    threads, memory_mib = threading.active_count(), resident_mib()
    sleep_until(starts_at + asked["opening"] + asked["window"])
    over = Counter(requests.by_kind)
    crowd.wait()
    told = {
        "opening": opened - before,
        "window": over - opened,
        "threads": threads,
        "memory_mib": memory_mib,
        "errors": crowd.errors,
        "failed_starts": crowd.failed_starts,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
