"""
What is sent of a program: encoded once, and sent again with other values.

For every job the client writes each circuit as QPY, compresses it, and checks what it wrote: 7 ms
for four qubits of a device that has 127, more for more gates, in which the session is billed and
the QPU waits.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from qiskit_ibm_runtime import QuantumProgram
from qiskit_ibm_runtime.options_models import ExecutorOptions

from prefect_qsession.ibm.internals import CONVERTER, executor_with, give_role


class EncodedProgram(QuantumProgram):  # type: ignore[misc]  # untyped
    """A program that brings along what is sent of it."""

    encoding: Any = None

    @classmethod
    def of(cls, program: QuantumProgram) -> Self:
        """Return the same program, without an encoding yet."""
        parts = ("shots", "items", "noise_maps", "meas_level", "passthrough_data")
        made = cls(**{part: getattr(program, part) for part in parts})
        give_role(made, program)
        return made


def _encoding(program: QuantumProgram, options: ExecutorOptions) -> Any:
    if isinstance(program, EncodedProgram):
        return program.encoding
    return encoded(program, options)


EncodedExecutor = executor_with(_encoding)
"""The client's `Executor`, which sends of an `EncodedProgram` what that brings along."""


def encoded(program: QuantumProgram, options: ExecutorOptions) -> Any:
    """
    Return what the client sends of a program: a pydantic model, dumped for JSON.

    Raises:
        AttributeError: There is no converter; the client does not say.
    """
    return CONVERTER.encoder(program, options)


def decoded(encoding: Any) -> QuantumProgram:
    """Return the program that the service reads of what is sent, as `encoded` has returned it."""
    # By way of what is sent: the model itself remembers what it was made of.
    sent = encoding.model_dump(mode="json")
    program, _ = CONVERTER.decoder(CONVERTER.model.model_validate(sent))
    return program


def refilled(
    encoding: Any,
    name: str,
    values: Sequence[NDArray[np.float64] | None],
    environment: Mapping[str, Any],
) -> Any:
    """
    Return an encoding with other values; shares with the given one what they have in common.

    Args:
        encoding: As the client made it.
        name: Of the argument of a samplex that holds its values; a circuit has but one.
        values: Of each item; None for one without.
        environment: The options that the job is asked with.
    """
    program = encoding.quantum_program
    changed = {
        "items": [
            item if new is None else _refilled_item(item, name, new)
            for item, new in zip(program.items, values, strict=True)
        ],
        "passthrough_data": with_environment(program.passthrough_data, environment),
    }
    return encoding.model_copy(update={"quantum_program": program.model_copy(update=changed)})


def _refilled_item(item: Any, name: str, values: NDArray[np.float64]) -> Any:
    if item.item_type == "circuit":
        changed = {"circuit_arguments": type(item.circuit_arguments).from_numpy(values)}
    else:
        arguments = item.samplex_arguments
        filled = type(arguments[name]).from_numpy(values)
        changed = {"samplex_arguments": {**arguments, name: filled}}
    return item.model_copy(update=changed)


def with_environment(passthrough: Any, environment: Mapping[str, Any]) -> Any:
    """
    Return what a program passes through, with another environment.

    It says, beside what the result is made from, what the job was asked with.
    """
    processor = passthrough["post_processor"]
    asked = {**processor["options"], "environment": dict(environment)}
    return {**passthrough, "post_processor": {**processor, "options": asked}}
