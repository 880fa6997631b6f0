"""Messages on the pipes between the service and a simulator process: tasks and outcomes."""

import json
import struct
from dataclasses import asdict
from typing import IO

from prefect_qsession.emulator.rules.simulation import Outcome, SimulationTask

_LENGTHS = struct.Struct(">II")


def send_task(task: SimulationTask, stream: IO[bytes]) -> None:
    """Write a task to a simulator's pipe."""
    _write(stream, json.dumps(asdict(task) | {"body": None}).encode(), task.body)


def receive_task(stream: IO[bytes]) -> SimulationTask:
    """Read a task; raise `EOFError` when the service is gone, even midway."""
    header, body = _read(stream)
    return SimulationTask(**(json.loads(header) | {"body": body}))


def send_outcome(outcome: Outcome, stream: IO[bytes]) -> None:
    """Write an outcome to the service's pipe."""
    header = asdict(outcome) | {"result": outcome.result is not None}
    _write(stream, json.dumps(header).encode(), outcome.result or b"")


def receive_outcome(stream: IO[bytes]) -> Outcome:
    """Read an outcome; raise `EOFError` when the simulator is gone, even midway."""
    raw_header, result = _read(stream)
    header = json.loads(raw_header)
    return Outcome(**(header | {"result": result if header["result"] else None}))


def _write(stream: IO[bytes], header: bytes, payload: bytes) -> None:
    """Write one message: both lengths, then both parts."""
    stream.write(_LENGTHS.pack(len(header), len(payload)))
    stream.write(header)
    stream.write(payload)
    stream.flush()


def _read(stream: IO[bytes]) -> tuple[bytes, bytes]:
    header_length, payload_length = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    return _read_exactly(stream, header_length), _read_exactly(stream, payload_length)


def _read_exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        msg = "the other side closed the pipe"
        raise EOFError(msg)
    return data
