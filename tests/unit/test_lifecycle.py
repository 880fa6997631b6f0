"""The life of one session, with a service that the test answers for, step by step."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from prefect_qsession.exceptions import (
    ServiceUnavailable,
    SessionLost,
    SessionNotOpen,
    SessionRefused,
)
from prefect_qsession.ibm.records import WorkloadDetails
from prefect_qsession.session.lifecycle import Lifecycle
from prefect_qsession.states import Release, SessionState

REASON = "its time was over."


@dataclass
class RecordingSession:
    """A session that notes what is asked of it, and fails as often as it is told to."""

    session_id: str = "session-1"
    asked: list[str] = field(default_factory=list)
    failures_left: int = 0

    def close(self) -> None:
        self._ask("close")

    def cancel(self) -> None:
        self._ask("cancel")

    def details(self) -> WorkloadDetails:
        raise NotImplementedError

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.failures_left:
            self.failures_left -= 1
            raise ServiceUnavailable("no answer", retryable=True)


@pytest.fixture
def session() -> RecordingSession:
    return RecordingSession()


@pytest.fixture
def lifecycle(session) -> Lifecycle[RecordingSession]:
    return Lifecycle(lambda: session)


def test_nothing_is_opened_before_it_is_needed():
    """A flow run that submits no job never asks for a session, however it ends."""
    opened: list[RecordingSession] = []
    lifecycle = Lifecycle(lambda: opened.append(RecordingSession()) or opened[-1])

    assert not lifecycle.release(Release.CANCEL)
    assert [] == opened
    assert SessionState.CANCELLED == lifecycle.state


def test_every_caller_gets_the_one_session_even_when_many_come_at_once():
    """Eight threads that need a session while it is being opened share the one that is opened."""
    go = threading.Event()
    opened: list[RecordingSession] = []

    def open_session() -> RecordingSession:
        go.wait()
        opened.append(RecordingSession())
        return opened[-1]

    lifecycle = Lifecycle(open_session)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(lifecycle.acquire) for _ in range(8)]
        go.set()
        got = [future.result() for future in waiting]

    assert 1 == len(opened)
    assert [opened[0]] * 8 == got


@pytest.mark.parametrize("outcome", Release)
def test_a_session_is_released_as_asked_and_only_once(lifecycle, session, outcome):
    """The first release reaches the service, a second does nothing."""
    lifecycle.acquire()

    assert [True, False] == [lifecycle.release(outcome), lifecycle.release(outcome)]
    assert [outcome.value] == session.asked
    assert lifecycle.state.is_final


def test_a_released_session_takes_no_more_jobs(lifecycle):
    """A task that comes too late is told so, with the id of the session."""
    lifecycle.acquire()
    lifecycle.release(Release.CLOSE)

    with pytest.raises(SessionNotOpen, match="session-1 is closed"):
        lifecycle.acquire()


def test_a_release_that_is_not_confirmed_can_be_asked_again(lifecycle, session):
    """A failed request leaves the session closing, and the next release asks once more."""
    session.failures_left = 1
    lifecycle.acquire()

    with pytest.raises(ServiceUnavailable):
        lifecycle.release(Release.CLOSE)

    assert SessionState.CLOSING == lifecycle.state
    assert lifecycle.release(Release.CLOSE)
    assert ["close", "close"] == session.asked
    assert SessionState.CLOSED == lifecycle.state


def test_a_close_that_was_not_confirmed_can_become_a_cancel(lifecycle, session):
    """When the flow run fails after all, the second request is a cancel."""
    session.failures_left = 1
    lifecycle.acquire()
    with pytest.raises(ServiceUnavailable):
        lifecycle.release(Release.CLOSE)

    assert lifecycle.release(Release.CANCEL)
    assert ["close", "cancel"] == session.asked


def test_a_cancel_is_never_weakened_to_a_close(lifecycle, session):
    """After a cancel that was not confirmed, a close asks to cancel again."""
    session.failures_left = 1
    lifecycle.acquire()
    with pytest.raises(ServiceUnavailable):
        lifecycle.release(Release.CANCEL)

    assert lifecycle.release(Release.CLOSE)
    assert ["cancel", "cancel"] == session.asked


@pytest.mark.parametrize("outcome", Release)
def test_a_session_released_while_it_is_opened_is_cancelled_by_its_opener(session, outcome):
    """The release does not wait for a request that may hang; the opener cancels what it gets."""
    asked_to_open, answer = threading.Event(), threading.Event()

    def open_session() -> RecordingSession:
        asked_to_open.set()
        answer.wait()
        return session

    lifecycle = Lifecycle(open_session)
    with ThreadPoolExecutor(1) as threads:
        opening: Future[RecordingSession] = threads.submit(lifecycle.acquire)
        asked_to_open.wait()
        released_here = lifecycle.release(outcome)
        state_meanwhile = lifecycle.state
        answer.set()
        error = opening.exception()

    assert not released_here
    assert SessionState.CANCELLING == state_meanwhile
    assert isinstance(error, SessionNotOpen)
    assert ["cancel"] == session.asked
    assert SessionState.CANCELLED == lifecycle.state


def test_a_second_release_returns_when_the_first_is_through(lifecycle, session):
    """The monitor's release must not be cut off by a process that ends because its own did nothing.

    The first is in the middle of its request when the second comes.
    """
    asked, answer = threading.Event(), threading.Event()
    close = session.close

    def close_slowly() -> None:
        asked.set()
        answer.wait()
        close()

    session.close = close_slowly
    lifecycle.acquire()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lifecycle.release, Release.CLOSE)
        asked.wait()
        second = threads.submit(lifecycle.release, Release.CLOSE)
        with pytest.raises(TimeoutError):
            second.result(0.05)
        answer.set()

    assert [True, False] == [first.result(), second.result()]
    assert ["close"] == session.asked


def test_a_refused_session_can_be_asked_for_again(session):
    """The error reaches the caller, and the next caller tries anew."""
    answers = iter([SessionRefused("no"), session])

    def open_session() -> RecordingSession:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    lifecycle = Lifecycle(open_session)

    with pytest.raises(SessionRefused):
        lifecycle.acquire()
    assert session is lifecycle.acquire()


def test_a_lost_session_has_nothing_to_release_and_takes_no_jobs(lifecycle, session):
    """What the service ended is neither closed nor cancelled again."""
    lifecycle.acquire()

    assert [True, False] == [lifecycle.lose(session, REASON), lifecycle.lose(session, REASON)]
    with pytest.raises(SessionLost, match="session-1"):
        lifecycle.acquire()
    assert not lifecycle.release(Release.CLOSE)
    assert [] == session.asked
    assert SessionState.CLOSED == lifecycle.state


def test_a_lost_session_is_opened_anew_as_often_as_allowed():
    """Twice, and the third loss is the end."""
    opened: list[RecordingSession] = []

    def open_session() -> RecordingSession:
        opened.append(RecordingSession(f"session-{len(opened) + 1}"))
        return opened[-1]

    lifecycle = Lifecycle(open_session, reopenings=2)
    for _ in range(3):
        lifecycle.lose(lifecycle.acquire(), REASON)

    with pytest.raises(SessionLost, match=f"session-3: {REASON}"):
        lifecycle.acquire()
    assert 3 == len(opened)


def test_a_session_that_somebody_released_is_not_opened_anew():
    """They meant it, whatever is allowed."""
    lifecycle = Lifecycle(RecordingSession, reopenings=2)
    lifecycle.lose(lifecycle.acquire(), REASON, for_good=True)

    with pytest.raises(SessionLost, match=REASON):
        lifecycle.acquire()


def test_the_loss_of_an_earlier_session_is_no_news():
    """Two jobs meet the end of a session; the second is told when another one is open already."""
    sessions = iter([RecordingSession("session-1"), RecordingSession("session-2")])
    lifecycle = Lifecycle(lambda: next(sessions), reopenings=1)
    lost = lifecycle.acquire()
    lifecycle.lose(lost, REASON)
    second = lifecycle.acquire()

    assert not lifecycle.lose(lost, REASON)
    assert second is lifecycle.acquire()


def test_a_reopening_that_is_refused_does_not_count():
    """Nothing was opened, so the next caller may try again."""
    answers = iter([RecordingSession("session-1"), SessionRefused("no"), RecordingSession("2")])

    def open_session() -> RecordingSession:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    lifecycle = Lifecycle(open_session, reopenings=1)
    lifecycle.lose(lifecycle.acquire(), REASON)
    with pytest.raises(SessionRefused):
        lifecycle.acquire()

    assert "2" == lifecycle.acquire().session_id


def test_whoever_is_cut_off_while_a_session_is_opened_leaves_it_to_the_next(session):
    """As by a task's timeout, at whatever moment: nobody waits for an opener that is gone."""
    begun: list[threading.Thread] = []

    def start_and_be_cut_off(work) -> None:
        begun.append(threading.Thread(target=work))
        begun[-1].start()
        raise TimeoutError

    openings: list[int] = []
    lifecycle = Lifecycle(lambda: openings.append(1) or session, start=start_and_be_cut_off)
    with pytest.raises(TimeoutError):
        lifecycle.acquire()
    begun[0].join()

    assert session is lifecycle.acquire()
    assert [1] == openings


def test_two_who_begin_to_open_at_once_have_one_session(session):
    """The second finds the first at it, and waits."""
    works = []
    openings: list[int] = []
    lifecycle = Lifecycle(lambda: openings.append(1) or session, start=works.append)
    callers = ThreadPoolExecutor(2)
    with callers:
        found = [callers.submit(lifecycle.acquire) for _ in range(2)]
        while len(works) < 2:
            pass
        for work in works:
            work()

        assert [session, session] == [each.result() for each in found]
    assert [1] == openings
