"""Why a job fails by its user's fault, with the reason codes of the service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError


class JobFailure(Exception):
    """The job cannot be run as it was sent."""

    def __init__(self, code: int, reason: str, solution: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.solution = solution


def not_loadable(why: str) -> JobFailure:
    """Say that the parameters cannot be read."""
    return JobFailure(
        1506, f"The program cannot be loaded: {why}", "Check the inputs of the program."
    )


@contextmanager
def by_schema(params: Mapping[str, Any], version: str) -> Iterator[None]:
    """Read parameters of this version of a schema inside; fail as not loadable if they are not."""
    if params.get("schema_version") != version:
        why = f"schema version {params.get('schema_version')!r} is not {version!r}"
        raise not_loadable(why)
    try:
        yield
    except (MemoryError, JobFailure):
        raise
    except ValidationError as error:
        raise not_loadable(
            f"{error.error_count()} fields are not as the schema has them"
        ) from error
    except Exception as error:  # its readers, and QPY, raise whatever their parts raise
        raise not_loadable(str(error)) from error


def not_in_target_isa(why: str) -> JobFailure:
    """Say that a circuit is not made of the device's own instructions."""
    return JobFailure(
        1517,
        f"The circuit is not in the target's instruction set: {why}",
        "Transpile the circuit for the backend and try again.",
    )


def not_supported(what: str) -> JobFailure:
    """Say that the emulator, unlike the service perhaps, does not do this."""
    return JobFailure(
        7001, f"Instruction {what} is not supported", "Use what the emulator's guide lists."
    )
