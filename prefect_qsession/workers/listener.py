"""
The flow's process as its workers find it: a thread that answers what they ask for their session,
and receives the events that they send.

It starts with the first task that goes to another process, and ends with the task runner.
"""

import time
from collections.abc import Callable, Collection
from functools import partial
from itertools import count
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Protocol

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.logging.loggers import get_logger

from prefect_qsession.budget.rules import BudgetKind
from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.exceptions import QSessionError, SessionError
from prefect_qsession.jobs.others import others_of
from prefect_qsession.jobs.workload_provider import WorkloadProvider
from prefect_qsession.prefect_api.clients import short_timeout_client
from prefect_qsession.prefect_api.owners import Owner
from prefect_qsession.prefect_api.threads import start_thread
from prefect_qsession.reporting.event_emitter import RunEventEmitter
from prefect_qsession.reporting.run_events import (
    BudgetWarningEvent,
    JobCancelledEvent,
    JobCompletedEvent,
    JobFailedEvent,
    JobReattachedEvent,
    JobSubmittedEvent,
)
from prefect_qsession.workers.context import JobDestination, WorkerContext
from prefect_qsession.workers.event_emitter import LINGER_SECONDS, SEND_EVERY_SECONDS
from prefect_qsession.workers.event_serialization import TimedEvent
from prefect_qsession.workers.flow_run_inputs import Question, Reply, reply, take

if TYPE_CHECKING:
    from prefect_qsession.ibm.service import Runtime

logger = get_logger("qsession.worker_listener")

ATTENTIVE_SECONDS = 0.25
"""Between two looks while no session is open: the first job waits for the answer."""

REST_SECONDS = 3.0
"""For which the end of a flow waits for its workers' last events, at the most."""

LONGEST_PAUSE_SECONDS = 5.0
"""Between two looks, however seldom the monitor looks: a worker does not wait for ever."""


class FlowProcess(WorkloadProvider, Protocol):
    """What the flow's own process has of its session, for its workers."""

    @property
    def events(self) -> RunEventEmitter:
        """What workers tell is heard here."""
        ...

    @property
    def open_session(self) -> Any:
        """The session that takes jobs, None if there is none."""
        ...


class WorkerListener:
    """
    Say what the tasks that go to other processes take along, answer what they ask, and pass on
    the events that they send, until `stop` is called.

    It answers from threads. A slow or absent API delays an answer, and is never raised; a worker
    that is not answered asks again.

    Args:
        manager: Has the session that they join.
        owner: The flow run that they belong to.
    """

    def __init__(self, manager: FlowProcess, owner: Owner) -> None:
        self._manager = manager
        self._owner = owner
        manager.spending.share(others_of(owner.flow_run_id, manager.backend))
        self._places = count(1)
        self._stopped = Event()
        self._in_hand: set[str] = set()
        self._taking = Lock()
        self._taken: set[str] = set()
        self._submitted: set[str] = set()
        """The jobs that workers have submitted in this attempt."""
        self._is_drained = False

    def worker_context(
        self, make_runtime: "Callable[[str | LeastBusy], Runtime]", backend: str | LeastBusy
    ) -> WorkerContext:
        """
        Return what the next task that is submitted takes along.

        Args:
            make_runtime: Makes its way to the service.
            backend: As it was asked for.
        """
        session = self._manager.open_session
        return WorkerContext(
            flow_run_id=self._owner.flow_run_id,
            attempt=self._owner.flow_run.run_count,
            make_runtime=make_runtime,
            backend=backend,
            policy=self._manager.policy,
            session=self._destination(session) if session else None,
            place=str(next(self._places)),
        )

    def start(self) -> None:
        """Begin to answer."""
        start_thread(self._receive, "qsession-worker-listener")

    def drain(self) -> None:
        """
        Wait for the events that are on their way, and take no more of them; never raises.

        It takes a little more than a second, and no longer than `REST_SECONDS` whatever the API
        does; nothing at the second time.
        """
        if not self._is_drained:
            start_thread(self._take_the_rest, "qsession-last-events").join(REST_SECONDS)
            self._is_drained = True

    def stop(self) -> None:
        """Answer no longer; safe to repeat."""
        self._stopped.set()

    def _take_the_rest(self) -> None:
        self._stopped.wait(LINGER_SECONDS + SEND_EVERY_SECONDS + ATTENTIVE_SECONDS)
        with short_timeout_client() as client:
            self._take(client)

    def _receive(self) -> None:
        with short_timeout_client() as client:
            while not self._stopped.wait(self._look_every()):
                self._take(client)

    def _take(self, client: SyncPrefectClient) -> None:
        """Take what workers have sent; one at a time, or two might take the same."""
        try:
            with self._taking:
                for sent in take(client, self._owner.flow_run_id, self._taken):
                    self._use(sent)
        except Exception as error:  # noqa: BLE001 - the next look may do better
            logger.debug("What workers send cannot be read at the moment: %s", error)

    def _use(self, sent: Question | TimedEvent) -> None:
        """Take up what one worker has sent; whatever is wrong with it is no other's loss."""
        try:
            if isinstance(sent, Question):
                self._take_up(sent)
            else:
                self._receive_event(sent)
        except Exception:
            logger.exception("What a worker has sent could not be used: %r", sent)

    def _take_up(self, question: Question) -> None:
        # Asked again while it is being answered: taken is what it wants to know.
        if question.key not in self._in_hand:
            self._in_hand.add(question.key)
            try:
                # Each in its own thread: one may wait for a slot of a concurrency limit.
                start_thread(partial(self._attend, question), "qsession-answer")
            except BaseException:
                self._in_hand.discard(question.key)
                raise

    def _receive_event(self, timed: TimedEvent) -> None:
        manager = self._manager
        match timed.event:
            case JobSubmittedEvent(job_id):
                self._submitted.add(job_id)
                manager.activity.submitted(job_id, partial(self._settle_if_over, job_id))
            case JobReattachedEvent(job_id):
                manager.activity.submitted(job_id, partial(self._settle_if_over, job_id))
                if job_id in self._submitted:
                    # In this attempt: its task was tried again, or moved to another worker.
                    return
            case JobCompletedEvent(job_id) | JobFailedEvent(job_id) | JobCancelledEvent(job_id):
                manager.activity.over(job_id, time.monotonic())
            case BudgetWarningEvent(budget, spent_seconds):
                # Each worker finds out; it is told once, for the flow run.
                manager.spending.warn(BudgetKind(budget), spent_seconds)
                return
        # Nobody would finish the report again.
        if not self._is_drained:
            manager.events.receive(timed.event, timed.at)

    def _settle_if_over(self, job_id: str, pending: Collection[str]) -> None:
        """Note that a worker's job is over, which nobody there has waited for."""
        if job_id not in pending:
            self._manager.activity.over(job_id, time.monotonic())

    def _look_every(self) -> float:
        if self._manager.open_session is None:
            return ATTENTIVE_SECONDS
        return min(self._manager.policy.monitor_every_seconds, LONGEST_PAUSE_SECONDS)

    def _answer(self, question: Question) -> Reply:
        """Tell where jobs go, having a session opened if there is none; it may take its time."""
        if question.wants_session:
            self._manager.has_ended(question.instead_of)
            return self._destination(self._manager.acquire())
        name: str = self._manager.backend().name
        return name

    def _destination(self, session: Any) -> JobDestination:
        return JobDestination(self._manager.backend().name, session.session_id, session.mode)

    def _attend(self, question: Question) -> None:
        try:
            answer: Reply | QSessionError = self._answer(question)
        except QSessionError as error:
            answer = error
        except Exception as error:  # noqa: BLE001 - a worker waits for an answer, whatever it is
            answer = SessionError(f"The flow's process has no session: {type(error).__name__}.")
        try:
            self._reply(question, answer)
        finally:
            # Whatever has come of it: asked again, it is answered anew.
            self._in_hand.discard(question.key)

    def _reply(self, question: Question, answer: Reply | QSessionError) -> None:
        try:
            with short_timeout_client() as client:
                try:
                    reply(client, self._owner.flow_run_id, question, answer)
                except (HTTPError, ObjectNotFound):
                    raise
                except Exception as error:  # noqa: BLE001 - it waits for an answer, whatever it is
                    unsaid = SessionError(f"The answer cannot be told: {type(error).__name__}.")
                    reply(client, self._owner.flow_run_id, question, unsaid)
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            logger.warning("A worker was not told of its session, and asks again: %s", error)
