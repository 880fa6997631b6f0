"""What is asked of a simulator process and what it answers, as messages on a pipe."""

import json
import struct
from dataclasses import asdict, dataclass
from typing import IO, Literal, Self

from prefect_qsession.emulator.rules.reasons import INTERNAL_ERROR

_LENGTHS = struct.Struct(">II")


def write_message(stream: IO[bytes], header: bytes, payload: bytes) -> None:
    """Write one message: both lengths, then both parts."""
    stream.write(_LENGTHS.pack(len(header), len(payload)))
    stream.write(header)
    stream.write(payload)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[bytes, bytes]:
    """Read one message; raise `EOFError` when the other side is gone, even midway."""
    header_length, payload_length = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    return _read_exactly(stream, header_length), _read_exactly(stream, payload_length)


def _read_exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        msg = "the other side closed the pipe"
        raise EOFError(msg)
    return data


@dataclass(frozen=True)
class SimulationTask:
    """
    A job to compute: the request body as it came over the wire, and the device it is for.

    *device_facts* is JSON: the device's size and its instructions with the qubits they act on.
    """

    program_id: str
    body: bytes
    device_facts: str
    seed: int
    noise: Literal["shots", "none"]

    def send(self, stream: IO[bytes]) -> None:
        """Write the task to a simulator's pipe."""
        header = asdict(self) | {"body": None}
        write_message(stream, json.dumps(header).encode(), self.body)

    @classmethod
    def receive(cls, stream: IO[bytes]) -> Self:
        """Read a task; raise `EOFError` when the service is gone."""
        header, body = read_message(stream)
        return cls(**(json.loads(header) | {"body": body}))


@dataclass(frozen=True)
class Outcome:
    """
    What became of a job's computation: a result body, or the reason there is none.

    *executions* counts circuit executions on the QPU, shots included. *user_error* tells whose
    fault a failure is; the user's own is charged.
    """

    result: bytes | None = None
    executions: int = 0
    reason: str | None = None
    reason_code: int | None = None
    reason_solution: str | None = None
    user_error: bool = False

    def send(self, stream: IO[bytes]) -> None:
        """Write the outcome to the service's pipe."""
        header = asdict(self) | {"result": None}
        if self.result is None:
            header["no_result"] = True
        write_message(stream, json.dumps(header).encode(), self.result or b"")

    @classmethod
    def receive(cls, stream: IO[bytes]) -> Self:
        """Read an outcome; raise `EOFError` when the simulator is gone."""
        raw_header, result = read_message(stream)
        header = json.loads(raw_header)
        no_result = header.pop("no_result", False)
        return cls(**(header | {"result": None if no_result else result}))

    @classmethod
    def internal_error(cls) -> Self:
        """Return the outcome of a simulation that was lost: the service's fault."""
        reason = INTERNAL_ERROR
        return cls(reason=reason.text, reason_code=reason.code, reason_solution=reason.solution)
