"""The base of every error of this package, and the one that is a defect of ours."""

from collections.abc import Mapping
from typing import Any


class QSessionError(Exception):
    """Base of every error of this package."""

    retryable: bool = False
    """Whether to ask again may help."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Prefect sends errors between processes, and by default pickle would make them anew from
        # the message, which is not what they are made from.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[QSessionError], args: tuple[Any, ...], attributes: Mapping[str, Any]
) -> QSessionError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class IllegalTransition(QSessionError):
    """A state was asked to do what its table does not allow: a defect of ours, please report it."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(
            f"A session that is {state} cannot {event}. This is a defect of prefect-qsession: "
            "please report it with the log of the flow run."
        )
        self.state = state
        self.event = event
