"""What is asked of a simulator, and what it answers."""

from dataclasses import dataclass
from typing import Literal, Self

from prefect_qsession.emulator.rules.reasons import INTERNAL_ERROR


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

    @classmethod
    def internal_error(cls) -> Self:
        """Return the outcome of a simulation that was lost: the service's fault."""
        reason = INTERNAL_ERROR
        return cls(reason=reason.text, reason_code=reason.code, reason_solution=reason.solution)
