"""
The flow's process as its workers find it: a thread that answers what they ask for their session,
and hears what they tell.

It starts with the first task that goes to another process, and ends with the task runner.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import count
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Protocol

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.logging.loggers import get_logger

from prefect_qsession.budget.rules import Kind
from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.exceptions import QSessionError, SessionError
from prefect_qsession.jobs.others import others_of
from prefect_qsession.jobs.workload_provider import SessionHolder
from prefect_qsession.prefect_api.clients import impatient_client
from prefect_qsession.prefect_api.owners import Owner
from prefect_qsession.prefect_api.threads import start_thread
from prefect_qsession.reporting.event_emitter import RunJournal
from prefect_qsession.reporting.run_events import (
    BudgetWarning,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobReattached,
    JobSubmitted,
)
from prefect_qsession.workers.context import Invitation, OpenSession
from prefect_qsession.workers.event_emitter import LINGER_SECONDS, NEWS_EVERY_SECONDS
from prefect_qsession.workers.event_serialization import News
from prefect_qsession.workers.flow_run_inputs import Question, Reply, reply, take

if TYPE_CHECKING:
    from prefect_qsession.ibm.service import Runtime

logger = get_logger("qsession.reception")

ATTENTIVE_SECONDS = 0.25
"""Between two looks while no session is open: the first job waits for the answer."""

REST_SECONDS = 3.0
"""For which the end of a flow waits for its workers' last news, at the most."""

LONGEST_PAUSE_SECONDS = 5.0
"""Between two looks, however seldom the monitor looks: a worker does not wait for ever."""


class FlowProcess(SessionHolder, Protocol):
    """What the flow's own process has of its session, for its workers."""

    @property
    def journal(self) -> RunJournal:
        """What workers tell is heard here."""
        ...

    @property
    def open_session(self) -> Any:
        """The session that takes jobs, None if there is none."""
        ...


class Reception:
    """
    Invite the tasks that go to other processes, answer what they ask, and have the flow run's
    journal hear what they tell, until `stop` is called.

    It answers from threads. A slow or absent API delays an answer, and is never raised; a worker
    that is not answered asks again.

    Args:
        held: The session that they join.
        owner: The flow run that they belong to.
    """

    def __init__(self, held: FlowProcess, owner: Owner) -> None:
        self._held = held
        self._owner = owner
        self._flow_run_id = owner.flow_run_id
        held.spending.share(others_of(owner.flow_run_id, held.backend))
        self._places = count(1)
        self._stopped = Event()
        self._in_hand: set[str] = set()
        self._taking = Lock()
        self._taken: set[str] = set()
        self._submitted: set[str] = set()
        """The jobs that workers have submitted in this attempt."""
        self._has_heard_all = False

    def invitation(
        self, make_runtime: "Callable[[str | LeastBusy], Runtime]", backend: str | LeastBusy
    ) -> Invitation:
        """
        Return what the next task that is submitted takes along.

        Args:
            make_runtime: Makes its way to the service.
            backend: As it was asked for.
        """
        session = self._held.open_session
        return Invitation(
            flow_run_id=self._flow_run_id,
            attempt=self._owner.flow_run.run_count,
            make_runtime=make_runtime,
            backend=backend,
            policy=self._held.policy,
            session=self._told(session) if session else None,
            place=str(next(self._places)),
        )

    def start(self) -> None:
        """Begin to answer."""
        start_thread(self._receive, "qsession-reception")

    def hear_the_rest(self) -> None:
        """
        Wait for the news that are on their way, and hear no more of them; never raises.

        It takes a little more than a second, and no longer than `REST_SECONDS` whatever the API
        does; nothing at the second time.
        """
        if not self._has_heard_all:
            start_thread(self._take_the_rest, "qsession-last-news").join(REST_SECONDS)
            self._has_heard_all = True

    def stop(self) -> None:
        """Answer no longer; safe to repeat."""
        self._stopped.set()

    def _take_the_rest(self) -> None:
        self._stopped.wait(LINGER_SECONDS + NEWS_EVERY_SECONDS + ATTENTIVE_SECONDS)
        with impatient_client() as client:
            self._take(client)

    def _receive(self) -> None:
        with impatient_client() as client:
            while not self._stopped.wait(self._look_every()):
                self._take(client)

    def _take(self, client: SyncPrefectClient) -> None:
        """Take what workers have sent; one at a time, or two might take the same."""
        try:
            with self._taking:
                for sent in take(client, self._flow_run_id, self._taken):
                    if isinstance(sent, Question):
                        self._take_up(sent)
                    else:
                        self._hear(sent)
        except Exception as error:  # noqa: BLE001 - the next look may do better
            logger.debug("Workers cannot be heard at the moment: %s", error)

    def _take_up(self, question: Question) -> None:
        # Asked again while it is being answered: taken is what it wants to know.
        if question.key not in self._in_hand:
            self._in_hand.add(question.key)
            # Each in its own thread: one may wait for a slot of a concurrency limit.
            start_thread(partial(self._attend, question), "qsession-answer")

    def _hear(self, news: News) -> None:
        held = self._held
        match news.happening:
            case JobSubmitted(job_id):
                self._submitted.add(job_id)
                held.activity.submitted(job_id)
            case JobReattached(job_id):
                held.activity.submitted(job_id)
                if job_id in self._submitted:
                    # In this attempt: its task was tried again, or moved to another worker.
                    return
            case JobCompleted(job_id) | JobFailed(job_id) | JobCancelled(job_id):
                held.activity.over(job_id, time.monotonic())
            case BudgetWarning(budget, spent_seconds):
                # Each worker finds out; it is told once, for the flow run.
                held.spending.warn(Kind(budget), spent_seconds)
                return
        # Nobody would finish the report again.
        if not self._has_heard_all:
            held.journal.hear(news.happening, news.at)

    def _look_every(self) -> float:
        if self._held.open_session is None:
            return ATTENTIVE_SECONDS
        return min(self._held.policy.monitor_every_seconds, LONGEST_PAUSE_SECONDS)

    def _answer(self, question: Question) -> Reply:
        """Tell where jobs go, having a session opened if there is none; it may take its time."""
        if question.wants_session:
            self._held.has_ended(question.instead_of)
            return self._told(self._held.acquire())
        name: str = self._held.backend().name
        return name

    def _told(self, session: Any) -> OpenSession:
        return OpenSession(self._held.backend().name, session.session_id, session.mode)

    def _attend(self, question: Question) -> None:
        try:
            answer: Reply | QSessionError = self._answer(question)
        except QSessionError as error:
            answer = error
        except Exception as error:  # noqa: BLE001 - a worker waits for an answer, whatever it is
            answer = SessionError(f"The flow's process has no session: {type(error).__name__}.")
        with impatient_client() as client:
            self._put(client, question, answer)
        self._in_hand.discard(question.key)

    def _put(
        self, client: SyncPrefectClient, question: Question, answer: Reply | QSessionError
    ) -> None:
        try:
            reply(client, self._flow_run_id, question, answer)
        except (HTTPError, ObjectNotFound) as error:
            logger.warning("A worker was not told of its session, and will ask again: %s", error)
