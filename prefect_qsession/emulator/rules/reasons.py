"""
Why a job ended as it did, with the reason codes of the service.

Codes and words are those of IBM's errors reference, as far as they are public; `docs/emulator.md`
says which are our own.
"""

from dataclasses import dataclass

from prefect_qsession.emulator.rules.errors import UNPUBLISHED
from prefect_qsession.emulator.rules.states import JobEvent


@dataclass(frozen=True)
class Reason:
    """Why a job ended as it did, in the words of the service; all `None` if that goes unsaid."""

    text: str | None = None
    code: int | None = None
    solution: str | None = None


@dataclass(frozen=True)
class InjectedFailure:
    """A failure that a job was given on its way in: as soon as it is accepted, or in its turn."""

    reason: Reason
    at_once: bool

    @property
    def event(self) -> JobEvent:
        """What happens to the job: the service cancels what ran too long, and fails the rest."""
        return JobEvent.CANCEL if self.reason.code == RAN_TOO_LONG.code else JobEvent.FAIL

    @property
    def is_charged(self) -> bool:
        """Whether the QPU time is paid for: not if the service was at fault."""
        return self.reason.code not in _FAULTS_OF_THE_SERVICE


UNSAID = Reason()

# The text of the live service, broken template and all; clients tell this end by its code.
RAN_TOO_LONG = Reason(
    "Job %!v(MISSING) ran longer than %!v(MISSING)",
    1305,
    "Raise max_execution_time or submit less work.",
)
SESSION_CLOSED = Reason("Job is part of a session that's been closed.", 4001)
USAGE_LIMIT = Reason("The instance has reached its usage limit.", UNPUBLISHED)
INTERNAL_ERROR = Reason("Temporary Internal Error", 9707, "Resubmit the job.")

_KNOWN = (
    Reason("Backend is unavailable.", 1004, "Use another backend, or try again later."),
    Reason("Session has been closed.", 1217),
    RAN_TOO_LONG,
    Reason("The program cannot be loaded.", 1506, "Check the inputs of the program."),
    Reason(
        "The circuit is not in the target's instruction set.",
        1517,
        "Transpile the circuit for the backend and try again.",
    ),
    Reason("The program cannot be loaded.", 1603, "Check the inputs of the program."),
    Reason(
        "Planned outage: the service is undergoing maintenance.",
        1999,
        "Try again after the outage.",
    ),
    SESSION_CLOSED,
    Reason("Instruction is not supported.", 7001, "Transpile the circuit for the backend."),
    INTERNAL_ERROR,
)
_BY_CODE = {reason.code: reason for reason in _KNOWN}
_FAULTS_OF_THE_SERVICE = frozenset({1004, 1999, 9707})


def reason_of(code: int, text: str | None = None) -> Reason:
    """Return the reason of a code; *text* takes the place of the service's own words."""
    known = _BY_CODE.get(code, Reason("The emulator was told to fail this job.", code))
    return known if text is None else Reason(text, code, known.solution)
