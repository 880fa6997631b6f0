"""Requests whose results can be told apart: each has bits and a number of shots of its own."""

from typing import Any

from qiskit import QuantumCircuit

BITS = 5
FEWEST_SHOTS = 10


def circuit(request: int) -> QuantumCircuit:
    """Return a circuit that measures the request's number, on any device that has an X gate."""
    made = QuantumCircuit(BITS, BITS, name=f"request {request}")
    for bit in range(BITS):
        if (request + 1) >> bit & 1:
            made.x(bit)
        made.measure(bit, bit)
    return made


def shots(request: int) -> int:
    """Return how often it is measured."""
    return FEWEST_SHOTS + request


def is_of(request: int, result: Any) -> bool:
    """Whether a result is the request's own."""
    return bool(result[0].data.c.get_counts() == {f"{request + 1:0{BITS}b}": shots(request)})
