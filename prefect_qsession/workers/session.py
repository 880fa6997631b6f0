"""
A flow run's session as a task in another process has it: joined, never opened or released there.

The flow's own process opens, safeguards and releases it. What was asked of a worker that died, or
from which a task was moved, is found by the tags of its jobs.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from datetime import UTC, datetime
from logging import LoggerAdapter
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.context import FlowRunContext

from prefect_qsession.budget.rules import Kind
from prefect_qsession.budget.spending import Spending
from prefect_qsession.config.backends import LeastBusy
from prefect_qsession.exceptions import NotInSessionFlow
from prefect_qsession.jobs.activity import Activity
from prefect_qsession.jobs.known_jobs import KnownJobs
from prefect_qsession.jobs.others import others_of
from prefect_qsession.jobs.reattachment import JobIdentity, run_tag
from prefect_qsession.jobs.submissions import Submissions
from prefect_qsession.jobs.waiting import Waiting
from prefect_qsession.prefect_api.owners import Owner, owner_in_context
from prefect_qsession.reporting.run_events import BudgetWarning, Happening
from prefect_qsession.workers.context import Invitation, OpenSession, current_invitation
from prefect_qsession.workers.event_emitter import WorkerJournal
from prefect_qsession.workers.flow_run_inputs import Reply, ask

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend, RuntimeJobV2

    from prefect_qsession.ibm.service import Runtime
    from prefect_qsession.ibm.workloads import Workload

MOST_KEPT = 8
"""Flow runs whose sessions a worker stays joined to; a connection each."""


class JoinedSession:
    """
    Give the tasks of one flow run, in this process, their session; every method is thread-safe.

    Nothing is asked of the flow's process as long as what the tasks brought along will do.

    Args:
        invitation: As a task has brought it.
        owner: The flow run that the session belongs to, as that task knows it.
    """

    def __init__(self, invitation: Invitation, owner: Owner) -> None:
        self.owner = owner
        # A task that is moved looks for its jobs by their own tags, which a pack's has not.
        self.policy = replace(invitation.policy, pack_seconds=None)
        self.spending = Spending(invitation.policy, self._tell_most_is_spent)
        """What the flow run has spent, as far as it was asked for here."""
        self.spending.share(others_of(owner.flow_run_id, self.backend))
        self.activity = Activity()
        self.waits = Waiting(invitation.policy.questions_per_second)
        """What the jobs that were asked for here have taken."""
        self.journal = WorkerJournal(owner, lambda: self._told)
        self.task_run_names: dict[UUID, str] = {}
        """As they were before `track` put numbers into them."""
        self._invitation = invitation
        self._told: OpenSession | None = None
        self._runtime: Runtime | None = None
        self._connecting = Lock()
        self._session: Workload | None = None
        self._ended: list[str] = []
        self._joining = Lock()
        self._submissions = Submissions(self, owner, _place, JobsOfManyProcesses)
        self._children: dict[Hashable, int] = {}

    @property
    def logger(self) -> "LoggerAdapter[Any]":
        """The flow run's own logger."""
        return self.owner.logger

    def tell(self, happening: Happening) -> None:
        """Tell the flow run's journal of something."""
        self.journal.tell(happening)

    def next_iteration(self) -> int | None:
        """Leave an iteration without a number: other workers have some, too."""
        return None

    def hear(self, session: OpenSession | None) -> None:
        """Take note of what a task that was submitted later has brought along."""
        if session is not None and session.session_id not in self._ended:
            self._told = session

    def backend(self) -> "IBMBackend":
        """Return the backend that the flow's process has chosen; this opens no session."""
        with self._connecting:
            if self._runtime is None:
                self._runtime = self._invitation.make_runtime(self._backend_name())
            return self._runtime.backend()

    def acquire(self) -> "Workload":
        """
        Return the open session, having it opened if there is none; other callers wait for it.

        Raises:
            OwnerSilent: The flow's process does not answer.
            QSessionError: Whatever it says instead of a session.
        """
        self.backend()
        with self._joining:
            while self._session is None:
                told = self._told or self._ask(wants_session=True)
                if isinstance(told, OpenSession):
                    self._join(told)
            return self._session

    def holds(self, session: "Workload") -> bool:
        """Whether this session is, as far as is known here, the one that jobs go into."""
        return self._session is session

    def give_up(self, session: "Workload", reason: str) -> None:
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
        return self._submissions

    def invitation_for_child(self) -> Invitation:
        """Return what a task takes along that is submitted by the task that runs here."""
        found = current_invitation()
        if found is None:
            raise NotInSessionFlow("A task")
        invitation, context = found
        # A parent that is tried again submits its children anew, in the places they had.
        parent = (context.task_run.id, context.task_run.run_count, context.start_time)
        with self._connecting:
            self._children[parent] = number = self._children.get(parent, 0) + 1
        return invitation.for_child(number, self._told)

    def _backend_name(self) -> str | LeastBusy:
        wanted = self._invitation.backend
        if not isinstance(wanted, LeastBusy):
            return wanted
        told = self._told or self._ask(wants_session=False)
        return told.backend_name if isinstance(told, OpenSession) else told

    def _ask(self, *, wants_session: bool) -> Reply:
        self.logger.debug("Asking the flow's process for its session.")
        return ask(
            self.owner.flow_run_id,
            wants_session=wants_session,
            instead_of=self._ended[-1] if self._ended else None,
        )

    def _join(self, told: OpenSession) -> None:
        runtime = self._runtime
        if runtime is None:
            return
        self._told = told
        self._session = runtime.join_session(
            told.session_id, told.mode, run_tag(self.owner.flow_run_id)
        )
        if self._session is None:
            self._end(told.session_id)

    def _end(self, session_id: str) -> None:
        self._ended.append(session_id)
        self._session = self._told = None

    def _tell_most_is_spent(self, budget: Kind, spent_seconds: float) -> None:
        # Other workers find out, too: the flow's process tells it once.
        cap = self.spending.cap_seconds(budget)
        self.journal.pass_on(BudgetWarning(budget, spent_seconds, cap), datetime.now(UTC))


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


_joined: OrderedDict[tuple[UUID, int], JoinedSession] = OrderedDict()
_lock = Lock()


def joined_session(asked_for: str, context: FlowRunContext) -> JoinedSession:
    """
    Return the session of the flow run that the task which runs here was submitted by.

    Args:
        asked_for: What needs it, for the error message.
        context: The flow run's context as Prefect has rebuilt it here.

    Raises:
        NotInSessionFlow: The task was not submitted by the flow run's own task runner.
    """
    found = current_invitation()
    if found is None:
        raise NotInSessionFlow(
            asked_for,
            "this task runs in another process than its flow, and was not submitted by the flow's "
            "SessionTaskRunner. Use .submit() or .map()",
        )
    invitation, _ = found
    key = (invitation.flow_run_id, invitation.attempt)
    with _lock:
        session = _joined.get(key)
        if session is None:
            session = _joined[key] = JoinedSession(invitation, owner_in_context(context))
            while len(_joined) > MOST_KEPT:
                _joined.popitem(last=False)
        _joined.move_to_end(key)
    session.hear(invitation.session)
    return session


def _place() -> tuple[str, Hashable]:
    """Return where a request is made, and in which execution of its task."""
    found = current_invitation()
    if found is None:
        raise NotInSessionFlow("A job", "it runs in no task that was submitted")
    invitation, context = found
    execution = (context.task_run.id, context.task_run.run_count, context.start_time)
    return invitation.place, execution
