"""
Many flow runs with a session each, in one process.

    python -m benchmarks.scale.flow_runs '{"flow_runs": 250, "devices": 40, ...}'

Says `ready` when all have begun, reads when to open the first session, and prints what was counted
as one line of JSON.
"""

import json
import sys
import threading
from collections import Counter
from typing import Any

from prefect import Flow, get_client

from benchmarks._requests import Requests
from prefect_qsession import QiskitRuntimeCredentials, current_backend, sampler, session_flow
from tests.harness.circuits import one_bit
from tests.harness.processes import resident_mib
from tests.harness.waiting import sleep_until

BLOCK = "benchmark"

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


def by_kind(requests: Requests) -> Counter[str]:
    """Return how many requests were sent so far, by what they are for."""
    counted: Counter[str] = Counter()
    for (method, path), count in requests.sent.items():
        kinds = (
            kind
            for (verb, begin), kind in KINDS.items()
            if method == verb and path.startswith(begin)
        )
        counted[next(kinds, "other")] += count
    return counted


class FlowRuns:
    """All flow runs of this process, each in a thread of its own."""

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


def save_block(environment: dict[str, str]) -> None:
    """Save the credentials that all flow runs use."""
    QiskitRuntimeCredentials.from_environment(environment).save(BLOCK, overwrite=True)


def ledger_bytes() -> int:
    """Return how long the values of all variables are together; only the ledger has any here."""
    length = 0
    with get_client(sync_client=True) as client:
        for page in range(10_000):
            asked = {"limit": 200, "offset": 200 * page}
            found = client.request("POST", "/variables/filter", json=asked).json()
            length += sum(len(str(variable["value"])) for variable in found)
            if len(found) < asked["limit"]:
                break
    return length


def _run_one_job() -> None:
    circuit = one_bit(current_backend().num_qubits)
    sampler(legacy=True).run([circuit], shots=10).result()


def main() -> None:
    """Live as the command line says."""
    asked = json.loads(sys.argv[1])
    flow_runs = FlowRuns(asked)
    flow_runs.begin()
    # Prefect sets all loggers up when the first flow run begins.
    requests = Requests()
    print("ready", flush=True)
    starts_at = float(sys.stdin.readline())
    before = by_kind(requests)
    flow_runs.open(starts_at)
    sleep_until(starts_at + asked["opening"])
    opened = by_kind(requests)
    sleep_until(starts_at + asked["opening"] + asked["window"] / 2)
    threads, memory_mib = threading.active_count(), resident_mib()
    sleep_until(starts_at + asked["opening"] + asked["window"])
    over = by_kind(requests)
    flow_runs.wait()
    told = {
        "opening": opened - before,
        "window": over - opened,
        "threads": threads,
        "memory_mib": memory_mib,
        "errors": flow_runs.errors,
        "failed_starts": flow_runs.failed_starts,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
