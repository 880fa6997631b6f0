"""
The states of a flow run's session, and what moves it from one to the next, as one table.

`unopened -> opening -> open -> closing -> closed` is the good way; from everywhere short of the end
a way leads to `cancelled`. A final state that follows a request is entered only when the service
has confirmed it. The diagram in `docs/lifecycle.md` is drawn from `TRANSITIONS`.
"""

from enum import StrEnum

from prefect_qsession.exceptions import IllegalTransition


class SessionState(StrEnum):
    """Where the session of a flow run stands, seen from the flow's process."""

    UNOPENED = "unopened"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self in FINAL

    @property
    def is_released(self) -> bool:
        """Whether we have asked the service to end it, or need not ask any more."""
        return self in FINAL | {SessionState.CLOSING, SessionState.CANCELLING}


class Trigger(StrEnum):
    """What happens to the session of a flow run."""

    OPEN = "open"
    """A job needs the session."""
    OPENED = "opened"
    """The service has given it an id."""
    REFUSED = "refused"
    """The service would not open it, or the request failed."""
    CLOSE = "close"
    """The flow run ended well: no new jobs, accepted ones finish."""
    CANCEL = "cancel"
    """The flow run ended otherwise: accepted jobs that have not started are dropped."""
    CONFIRMED = "confirmed"
    """The service has confirmed the close or cancel."""
    LOSE = "lose"
    """The service ended the session by itself."""


class Release(StrEnum):
    """How the session of a flow run is released."""

    CLOSE = "close"
    CANCEL = "cancel"

    @property
    def trigger(self) -> Trigger:
        """The event that asks for this outcome."""
        return Trigger(self.value)

    @property
    def in_progress(self) -> SessionState:
        """The state in which this outcome waits for the service to confirm it."""
        return SessionState.CLOSING if self is Release.CLOSE else SessionState.CANCELLING

    @property
    def state(self) -> SessionState:
        """The state of a session that has been released in this way."""
        return SessionState.CLOSED if self is Release.CLOSE else SessionState.CANCELLED


FINAL = frozenset({SessionState.CLOSED, SessionState.CANCELLED})

_S, _E = SessionState, Trigger

TRANSITIONS: dict[tuple[SessionState, Trigger], SessionState] = {
    (_S.UNOPENED, _E.OPEN): _S.OPENING,
    # A run that never asked for a job has nothing to release, and nothing for the service to
    # confirm.
    (_S.UNOPENED, _E.CLOSE): _S.CLOSED,
    (_S.UNOPENED, _E.CANCEL): _S.CANCELLED,
    (_S.OPENING, _E.OPENED): _S.OPEN,
    (_S.OPENING, _E.REFUSED): _S.UNOPENED,
    # Released while the request to open is under way, by whichever outcome: it has no job that
    # could finish, so it is cancelled as soon as its id is known.
    (_S.OPENING, _E.CLOSE): _S.CANCELLING,
    (_S.OPENING, _E.CANCEL): _S.CANCELLING,
    (_S.CANCELLING, _E.OPENED): _S.CANCELLING,
    (_S.CANCELLING, _E.REFUSED): _S.CANCELLED,
    (_S.OPEN, _E.CLOSE): _S.CLOSING,
    (_S.OPEN, _E.CANCEL): _S.CANCELLING,
    (_S.OPEN, _E.LOSE): _S.LOST,
    (_S.CLOSING, _E.CONFIRMED): _S.CLOSED,
    # The close was not confirmed, and meanwhile the run failed.
    (_S.CLOSING, _E.CANCEL): _S.CANCELLING,
    (_S.CANCELLING, _E.CONFIRMED): _S.CANCELLED,
    # A new session, with an id of its own, in the place of the lost one.
    (_S.LOST, _E.OPEN): _S.OPENING,
    (_S.LOST, _E.CLOSE): _S.CLOSED,
    (_S.LOST, _E.CANCEL): _S.CANCELLED,
}


def advance(state: SessionState, trigger: Trigger) -> SessionState:
    """
    Return the state that `trigger` leads to from `state`.

    Raises:
        IllegalTransition: The table has no such step; nothing has changed.
    """
    try:
        return TRANSITIONS[state, trigger]
    except KeyError:
        raise IllegalTransition(state, trigger) from None
