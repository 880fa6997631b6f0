"""
The life of one flow run's session: opened by whoever needs it first, opened anew when the service
has ended it, released once, whoever asks.

Pure: it knows neither Prefect nor the Runtime client, only the table of states and a way to
open. Decisions are taken under a lock, requests are made outside it.
"""

from collections.abc import Callable
from functools import partial
from threading import Condition
from typing import Generic, TypeVar

from prefect_qsession.exceptions import SessionLost, SessionNotOpen
from prefect_qsession.ibm.records import Workload
from prefect_qsession.states import Release, SessionState, Trigger, advance

S = TypeVar("S", bound=Workload)


class Lifecycle(Generic[S]):
    """
    Open a session when it is first needed and release it exactly once; every method is thread-safe.

    Args:
        open_session: Asks the service for a session, and returns it or raises.
        reopenings: How often a session that the service ended may be opened anew.
        start: Begins what opens a session: in a thread of its own, where whoever waits for it may
            be cut off at any moment, as by a task's timeout. It is opened, for the next who asks.
    """

    def __init__(
        self,
        open_session: Callable[[], S],
        reopenings: int = 0,
        start: Callable[[Callable[[], None]], object] = lambda work: work(),
    ) -> None:
        self._open_session = open_session
        self._start = start
        self._reopenings_left = reopenings
        self._changed = Condition()
        self._state = SessionState.UNOPENED
        self._session: S | None = None
        self._lost_because = ""
        self._release_under_way = False

    @property
    def state(self) -> SessionState:
        """Where the session stands now."""
        return self._state

    @property
    def session(self) -> S | None:
        """The latest session, once the service has opened it; readable after its release, too."""
        return self._session

    def acquire(self) -> S:
        """
        Return the open session, opening it if this is the first call; other callers wait for it.

        When opening fails the next call tries again. One that the service ended is opened anew, as
        often as allowed. When the session is released while it is being opened, it is cancelled
        here, as soon as its id is known.

        Raises:
            SessionNotOpen: The session has been released.
            SessionLost: The service ended the session, once more than it may be opened anew.
            ServiceError: The service did not open it.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._state is not SessionState.OPENING)
                if self._state is SessionState.OPEN and self._session is not None:
                    return self._session
                self._refuse_unless_openable()
            if (session := self._attempt_elsewhere()) is not None:
                return session

    def _attempt_elsewhere(self) -> S | None:
        outcome: list[S | BaseException | None] = []
        self._start(partial(self._attempt, outcome))
        with self._changed:
            self._changed.wait_for(lambda: outcome)
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _attempt(self, outcome: list[S | BaseException | None]) -> None:
        """Open a session, and say what came of it: None if somebody else is at it."""
        came: S | BaseException | None
        try:
            came = self._open()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            came = error
        with self._changed:
            outcome.append(came)
            self._changed.notify_all()

    def _open(self) -> S | None:
        with self._changed:
            if self.state in (SessionState.OPENING, SessionState.OPEN):
                return None
            reopens = self._state is SessionState.LOST
            self._refuse_unless_openable()
            self._advance(Trigger.OPEN)
        try:
            session = self._open_session()
        except BaseException:
            with self._changed:
                self._advance(Trigger.REFUSED)
            raise
        with self._changed:
            self._session = session
            self._reopenings_left -= reopens
            self._advance(Trigger.OPENED)
            if self._state is SessionState.OPEN:
                return session
        self.release(Release.CANCEL)
        raise SessionNotOpen(session.session_id, self._state)

    def release(self, outcome: Release) -> bool:
        """
        Close or cancel the session; return whether this call did. A repeated call does nothing.

        A session that is being opened at this moment is left `cancelling`, and cancelled by the
        thread that opens it. A release that is under way is waited for: whoever ends the process
        next must not cut it off. When the service does not confirm, the session stays `closing` or
        `cancelling` and a later call asks again.

        Raises:
            ServiceError: The service did not confirm the release.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._release_under_way)
            if self._state.is_final:
                return False
            # Asked again after a release that was not confirmed: a cancel is never weakened to a
            # close.
            if self._state not in (SessionState.CANCELLING, outcome.in_progress):
                self._advance(outcome.trigger)
            if self._session is None or self._state.is_final:
                return False
            session, cancelling = self._session, self._state is SessionState.CANCELLING
            self._release_under_way = True
        confirmed = False
        try:
            if cancelling:
                session.cancel()
            else:
                session.close()
            confirmed = True
        finally:
            with self._changed:
                self._release_under_way = False
                if confirmed:
                    self._advance(Trigger.CONFIRMED)
                self._changed.notify_all()
        return True

    def lose(self, session: S, reason: str, *, for_good: bool = False) -> bool:
        """
        Note that this session was ended from outside; there is nothing left to release.

        None is opened in its place if it was `for_good`: somebody meant it.

        Returns whether that was news: another session may be open in its place by now.
        """
        with self._changed:
            if self._state is not SessionState.OPEN or self._session is not session:
                return False
            self._lost_because = reason
            if for_good:
                self._reopenings_left = 0
            self._advance(Trigger.LOSE)
            return True

    def _refuse_unless_openable(self) -> None:
        session_id = self._session.session_id if self._session else None
        if self._state is SessionState.LOST:
            if self._reopenings_left <= 0:
                raise SessionLost(session_id, self._lost_because)
        elif self._state is not SessionState.UNOPENED:
            raise SessionNotOpen(session_id, self._state)

    def _advance(self, trigger: Trigger) -> None:
        self._state = advance(self._state, trigger)
        self._changed.notify_all()
