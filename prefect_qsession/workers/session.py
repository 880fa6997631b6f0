"""
A flow run's session as a task in another process has it: joined, never opened or released there.

The flow's own process opens, safeguards and releases it. What was asked of a worker that died, or
from which a task was moved, is found by the tags of its jobs.
"""

import os
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from datetime import UTC, datetime
from logging import LoggerAdapter
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID
from weakref import WeakValueDictionary, finalize

from prefect.context import FlowRunContext

from prefect_qsession.budget.rules import BudgetKind
from prefect_qsession.budget.spending import Spending
from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.exceptions import InOtherProcess, NotInSessionFlow
from prefect_qsession.jobs.activity import Activity
from prefect_qsession.jobs.known_jobs import KnownJobs
from prefect_qsession.jobs.others import others_of
from prefect_qsession.jobs.reattachment import JobIdentity, run_tag
from prefect_qsession.jobs.submissions import Submissions
from prefect_qsession.jobs.waiting import Waiting
from prefect_qsession.prefect_api.forks import HomeProcess
from prefect_qsession.prefect_api.owners import Owner, owner_in_context
from prefect_qsession.reporting.run_events import BudgetWarningEvent, RunEvent
from prefect_qsession.workers.context import JobDestination, WorkerContext, current_worker_context
from prefect_qsession.workers.event_emitter import WorkerEventEmitter
from prefect_qsession.workers.flow_run_inputs import Reply, ask

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend, RuntimeJobV2

    from prefect_qsession.ibm.service import Runtime
    from prefect_qsession.ibm.workloads import RuntimeWorkload

MOST_KEPT = 8
"""Flow runs whose sessions a worker stays joined to between their tasks; a connection each."""


class WorkerSession:
    """
    Give the tasks of one flow run, in this process, their session; every method is thread-safe.

    Nothing is asked of the flow's process as long as what the tasks brought along will do.

    Args:
        worker_context: As a task has brought it.
        owner: The flow run that the session belongs to, as that task knows it.
    """

    def __init__(self, worker_context: WorkerContext, owner: Owner) -> None:
        self.owner = owner
        self._process = HomeProcess()
        # A task that is moved looks for its jobs by their own tags, which a pack's has not.
        self.policy = replace(worker_context.policy, pack_seconds=None)
        self.spending = Spending(worker_context.policy, self._forward_most_is_spent)
        """What the flow run has spent, as far as it was asked for here."""
        self.spending.share(others_of(owner.flow_run_id, self.backend))
        self.activity = Activity()
        self.waits = Waiting(worker_context.policy.questions_per_second)
        """What the jobs that were asked for here have taken."""
        self.events = WorkerEventEmitter(owner, lambda: self._destination)
        self.task_run_names: dict[UUID, str] = {}
        """As they were before `track` put numbers into them."""
        self._worker_context = worker_context
        self._destination: JobDestination | None = None
        self._runtime: Runtime | None = None
        self._connecting = Lock()
        self._session: RuntimeWorkload | None = None
        self._ended: list[str] = []
        self._joining = Lock()
        self._submissions = Submissions(self, owner, _place, JobsOfManyProcesses)
        self._children: dict[Hashable, int] = {}

    @property
    def logger(self) -> "LoggerAdapter[Any]":
        """The flow run's own logger."""
        return self.owner.logger

    def emit(self, event: RunEvent) -> None:
        """Emit an event of the flow run."""
        self.events.emit(event)

    def next_iteration(self) -> int | None:
        """Leave an iteration without a number: other workers have some, too."""
        return None

    def note_destination(self, session: JobDestination | None) -> None:
        """Take note of what a task that was submitted later has brought along."""
        if session is not None and session.session_id not in self._ended:
            self._destination = session

    def backend(self) -> "IBMBackend":
        """Return the backend that the flow's process has chosen; this opens no session."""
        self._process.check("This")
        with self._connecting:
            if self._runtime is None:
                self._runtime = self._worker_context.make_runtime(self._backend_name())
            return self._runtime.backend()

    def acquire(self) -> "RuntimeWorkload":
        """
        Return the open session, having it opened if there is none; other callers wait for it.

        Raises:
            OwnerSilent: The flow's process does not answer.
            QSessionError: Whatever it says instead of a session.
        """
        self.backend()
        with self._joining:
            while self._session is None:
                destination = self._destination or self._ask(wants_session=True)
                if isinstance(destination, JobDestination):
                    self._join(destination)
            return self._session

    def holds(self, session: "RuntimeWorkload") -> bool:
        """Whether this session is, as far as is known here, the one that jobs go into."""
        return self._session is session

    def give_up(self, session: "RuntimeWorkload", reason: str) -> None:
        """Note that this session was ended; the next `acquire` asks the flow's process."""
        with self._joining:
            if self._session is session:
                self._end(session.session_id)
                self.logger.info("Session %s takes no more jobs: %s", session.session_id, reason)

    def has_ended(self, session_id: str | None) -> bool:
        """
        Whether this session takes no more jobs; if the flow run goes on is for its process to say.

        Raises:
            ServiceError: The service did not tell.
        """
        from prefect_qsession.ibm.released import find_session  # noqa: PLC0415 - slow to import

        if session_id is None:
            return False
        if session_id in self._ended:
            return True
        found = find_session(self.backend().service, session_id)
        if found is not None and found.details().accepting_jobs:
            return False
        session = self._session
        if session is not None and session.session_id == session_id:
            self.give_up(session, "it was closed while jobs of it waited.")
        return True

    def submissions(self) -> Submissions:
        """Return what answers the requests made in this process."""
        self._process.check("A job")
        return self._submissions

    def worker_context_for_child(self) -> WorkerContext:
        """Return what a task takes along that is submitted by the task that runs here."""
        found = current_worker_context()
        if found is None:
            raise NotInSessionFlow("A task")
        worker_context, context = found
        # A parent that is tried again submits its children anew, in the places they had.
        parent = (context.task_run.id, context.task_run.run_count, context.start_time)
        with self._connecting:
            self._children[parent] = number = self._children.get(parent, 0) + 1
        return worker_context.for_child(number, self._destination)

    def __reduce__(self) -> NoReturn:
        raise InOtherProcess("What is sent to another process", "it has this worker's own session")

    def _backend_name(self) -> str | LeastBusy:
        wanted = self._worker_context.backend
        if not isinstance(wanted, LeastBusy):
            return wanted
        destination = self._destination or self._ask(wants_session=False)
        return destination.backend_name if isinstance(destination, JobDestination) else destination

    def _ask(self, *, wants_session: bool) -> Reply:
        self.logger.debug("Asking the flow's process for its session.")
        return ask(
            self.owner.flow_run_id,
            wants_session=wants_session,
            instead_of=self._ended[-1] if self._ended else None,
        )

    def _join(self, destination: JobDestination) -> None:
        runtime = self._runtime
        if runtime is None:
            return
        self._destination = destination
        self._session = runtime.join_session(
            destination.session_id, destination.mode, run_tag(self.owner.flow_run_id)
        )
        if self._session is None:
            self._end(destination.session_id)

    def _end(self, session_id: str) -> None:
        self._ended.append(session_id)
        self._session = self._destination = None

    def _forward_most_is_spent(self, budget: BudgetKind, spent_seconds: float) -> None:
        # Other workers find out, too: the flow's process tells it once.
        cap = self.spending.budget.cap_seconds(budget)
        self.events.forward(BudgetWarningEvent(budget, spent_seconds, cap), datetime.now(UTC))


class JobsOfManyProcesses(KnownJobs):
    """
    Know the jobs of a flow run as one of its workers can.

    A task may have been here before, or in a worker that died or gave it back, and nobody tells.
    So the first request of a task is looked for before it is submitted. If it is not there, the
    task has asked for nothing yet: later requests are not looked for.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._new_places: set[str] = set()

    def of(self, identity: JobIdentity) -> "list[RuntimeJobV2]":
        """Return the jobs of a request, whoever has submitted them."""
        if known := super().of(identity):
            return known
        if identity.place in self._new_places:
            return []
        found = self.find_new(identity)
        for job in found:
            self.add(identity, job)
        if not found:
            self._new_places.add(identity.place)
        return found

    def unasked_beside(self, identity: JobIdentity) -> int:  # noqa: ARG002 - as it is asked
        """Return 0: other workers ask, too, and what they ask is not known here."""
        return 0


_Key = tuple[UUID, int]
"""A flow run, and its attempt."""

_joined: WeakValueDictionary[_Key, WorkerSession] = WeakValueDictionary()
"""Those that are in use, and the latest: another in the place of one that is in use would number
its requests anew, and answer one by the job of another."""
_in_use: dict[int, WorkerSession] = {}
"""By the id of what a task has brought along, which lives as long as that task runs."""
_latest: OrderedDict[_Key, WorkerSession] = OrderedDict()
_lock = Lock()


def _renew_lock() -> None:
    """In a fork: a thread of the parent may have held it, and is not there to release it."""
    global _lock  # noqa: PLW0603 - a fork has one thread
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def current_worker_session(asked_for: str, context: FlowRunContext) -> WorkerSession:
    """
    Return the session of the flow run that the task which runs here was submitted by.

    Args:
        asked_for: What needs it, for the error message.
        context: The flow run's context as Prefect has rebuilt it here.

    Raises:
        InOtherProcess: The task was not submitted by the flow run's own task runner.
    """
    found = current_worker_context()
    if found is None:
        raise InOtherProcess(
            asked_for,
            "what runs here is in another process than its flow, and was not submitted as a task",
        )
    worker_context, _ = found
    key = (worker_context.flow_run_id, worker_context.attempt)
    with _lock:
        session = _joined.get(key)
        if session is None:
            # A copy: what the task has brought along is to end with the task.
            own = replace(worker_context)
            session = _joined[key] = WorkerSession(own, owner_in_context(context))
        if id(worker_context) not in _in_use:
            _in_use[id(worker_context)] = session
            finalize(worker_context, _in_use.pop, id(worker_context), None)
        _latest[key] = session
        _latest.move_to_end(key)
        while len(_latest) > MOST_KEPT:
            _latest.popitem(last=False)
    session.note_destination(worker_context.session)
    return session


def _place() -> tuple[str, Hashable]:
    """Return where a request is made, and in which execution of its task."""
    found = current_worker_context()
    if found is None:
        raise NotInSessionFlow("A job", "it runs in no task that was submitted")
    worker_context, context = found
    execution = (context.task_run.id, context.task_run.run_count, context.start_time)
    return worker_context.place, execution
