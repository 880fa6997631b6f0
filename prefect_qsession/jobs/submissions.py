"""
From a request to a job: the one that an earlier attempt has submitted, or a new one, never two.

A request is fingerprinted and numbered among its equals. A first attempt submits, and asks nothing
more than the bare client does; a later attempt of the flow run first reads, once, what jobs there
are. A submission whose answer was lost is looked for before it is repeated.
"""

import time
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID, uuid4

from prefect_qsession.budget.rules import BudgetKind
from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import (
    BudgetExceeded,
    InOtherProcess,
    InvalidOptions,
    JobCancelled,
    JobError,
    JobFailed,
    QSessionError,
    ServiceError,
    SessionLost,
)
from prefect_qsession.jobs.activity import Settle
from prefect_qsession.jobs.duplicates import Duplicates
from prefect_qsession.jobs.job_requests import JobAccount, Request, Submission
from prefect_qsession.jobs.known_jobs import KnownJobs
from prefect_qsession.jobs.packed_submissions import PackedSubmissions
from prefect_qsession.jobs.packing import marks_of, position_of
from prefect_qsession.jobs.reattachment import MAX_TAGS, OWN_TAGS, JobIdentity, Ordinals
from prefect_qsession.jobs.settling import settle_what_is_over
from prefect_qsession.jobs.workload_provider import WorkloadProvider
from prefect_qsession.prefect_api.enclosing_runs import runs_around
from prefect_qsession.prefect_api.forks import HomeProcess
from prefect_qsession.prefect_api.owners import Owner, runs_before
from prefect_qsession.reporting.run_events import (
    JobReattachedEvent,
    JobRunningEvent,
    JobSubmittedEvent,
    end_of_job,
)

if TYPE_CHECKING:
    from qiskit_ibm_runtime import RuntimeJobV2

    from prefect_qsession.ibm.primitives import ClientPrimitive

SUBMISSIONS = 3
"""How often a request is submitted at the most, while its jobs are not to be found."""


class Submissions:
    """
    Answer the requests of one attempt of a flow run; every method is thread-safe.

    Args:
        provider: The session that new jobs go into.
        owner: The flow run that the session belongs to.
        place: Returns where in the flow run a request is made, if that is not its own process,
            and within what its equals are counted.
        known: Knows the jobs that there are already.
    """

    def __init__(
        self,
        provider: WorkloadProvider,
        owner: Owner,
        place: Callable[[], tuple[str, Hashable]] = lambda: ("", None),
        known: type[KnownJobs] = KnownJobs,
    ) -> None:
        self.waits = provider.waits
        """What the session's jobs have taken, and so when to ask for the next."""
        self.process = HomeProcess()
        """The one whose requests are answered: no fork of it counts, waits or pays."""
        self._provider = provider
        self._owner = owner
        self._place = place
        self._ordinals = Ordinals()
        self._reattaches = provider.policy.reattach
        self._known = known(self._earlier_runs, self._tagged, self._note_earlier)
        self._duplicates = Duplicates(self._known, provider.logger)
        window = provider.policy.pack_seconds
        self._packs = PackedSubmissions(window, self._once) if window else None

    def __reduce__(self) -> NoReturn:
        raise InOtherProcess("What is sent to another process", "it has a job of this one's")

    def request(
        self, primitive: "ClientPrimitive", arguments: Any, executions: int, shape: Hashable
    ) -> Request:
        """
        Return what is asked here and now, known by its content and its place in the flow run.

        Its `shape` is what else decides how long the job takes, beside the number of executions.

        Raises:
            InvalidOptions: The options put more tags on the job than the service allows.
        """
        from prefect_qsession.ibm.fingerprints import fingerprint  # noqa: PLC0415 - slow to import

        if len(primitive.job_tags) > MAX_TAGS - OWN_TAGS:
            raise InvalidOptions(
                f"{primitive.program}()",
                f"job_tags has {len(primitive.job_tags)} tags, and {MAX_TAGS - OWN_TAGS} are free.",
            )
        # Where nothing is to be answered by what was asked before, no request is like another.
        asked = (
            fingerprint(primitive.program, arguments, primitive.options)
            if self._reattaches
            else uuid4().hex
        )
        place, within = self._place()
        ordinal = self._ordinals.claim(asked, runs_around(), within)
        identity = JobIdentity(self._owner.flow_run_id, asked, ordinal, place)
        kind = (primitive.program, executions, shape)
        return Request(identity, primitive, arguments, executions, kind)

    def answer(self, request: Request) -> Submission:
        """
        Return the job that answers: submitted before, or now.

        Raises:
            SessionNotOpen: The flow run has released its session.
            SessionLost: The service has ended the session, more often than it may be opened anew.
            BudgetExceeded: The flow run may spend no more.
            LedgerUnavailable: The session could not be recorded, and the policy requires it.
            ServiceError: The service did not open the session, or did not accept the job.
        """
        if found := self._found(request):
            return found
        if self._packs is None:
            return self.submit(request)
        submission = self._packs.submit(request)
        self._known.add(request.identity, submission.job)
        return submission

    def submit(self, request: Request) -> Submission:
        """Submit a new job; raises as `answer` does."""
        activity, key = self._provider.activity, request.identity.request
        if self._provider.spending.is_shared:
            # It may wait for minutes, and others spend meanwhile.
            self._provider.acquire()
        self._reserve(key, request.executions)
        activity.submitted(key)
        try:
            submission = self._unseen(request) or self._submit_once(request)
            self._known.add(request.identity, submission.job)
            activity.submitted(key, partial(self._settle_if_over, submission))
        except BaseException as error:
            if isinstance(error, QSessionError) and not getattr(error, "doubtful", False):
                self._give_back(key)
            else:
                # Not answered, or cut off in the middle of it, by a task's timeout say: there may
                # be a job, which costs what it costs until it is known that there is none.
                self._known.doubt(request.identity)
                activity.submitted(key, self._settle_unseen(request.identity))
            raise
        return submission

    def note_running(self, submission: Submission) -> None:
        """Tell, once, that a job has left the queue."""
        if not submission.was_seen_running:
            submission.was_seen_running = True
            self._provider.emit(JobRunningEvent(submission.job.job_id()))

    def settle(self, submission: Submission, error: JobError | None = None) -> None:
        """Account for a job that is over, with its error if any; never raises a `ServiceError`."""
        if not submission.account.settle():
            return
        identity = submission.account.identity
        # First: what is told of it may have its charge read once more.
        self._provider.spending.charge(identity.request, submission.job)
        self._provider.emit(end_of_job(submission.job.job_id(), error))
        self._provider.activity.over(identity.request, time.monotonic())
        if submission.is_doubtful:
            self._duplicates.cancel_beside(identity, submission.job)
        if submission.is_new:
            self._tell_if_others_were_not_asked_for(identity)

    def settle_seen(self, submission: Submission) -> None:
        """Account for a job that is seen to be over without being waited for; asks if it is."""
        from prefect_qsession.ibm.jobs import job_error, job_status  # noqa: PLC0415 - slow to import

        with suppress(ServiceError):
            if job_status(submission.job).is_over:
                self.settle(submission, job_error(submission.job))

    def is_worth_another(self, submission: Submission, error: JobFailed | JobCancelled) -> bool:
        """
        Whether to submit the request anew, now that its job is over without a result.

        So it is if the service, or the end of an earlier attempt, has ended the job's session; and
        if an earlier attempt's job has failed in passing, as if it had been found so.

        Raises:
            ServiceError: The service did not tell how the session stands.
        """
        if isinstance(error, JobFailed) and not error.lost_with_session:
            return error.retryable and not submission.is_new
        return self._provider.has_ended(error.session_id)

    # -- jobs that nobody waits for

    def _reserve(self, request: str, executions: int) -> None:
        """Keep back what a job will cost, once those that are over have given back their share."""
        spending = self._provider.spending
        try:
            spending.reserve(request, executions)
        except BudgetExceeded as error:
            if error.budget is not BudgetKind.QPU:
                raise
            with suppress(ServiceError):
                settle_what_is_over(
                    self._provider.activity,
                    self._provider.backend().service,
                    self._owner.flow_run_id,
                )
            spending.reserve(request, executions)

    def _give_back(self, request: str) -> None:
        self._provider.spending.budget.give_back(request)
        self._provider.activity.over(request, time.monotonic())

    def _settle_if_over(self, submission: Submission, pending: Collection[str]) -> None:
        if submission.job.job_id() not in pending:
            self.settle_seen(submission)

    def _settle_unseen(self, identity: JobIdentity) -> Settle:
        """Return what accounts for the job that a submission may have made, which was cut off."""
        activity, key = self._provider.activity, identity.request

        def settle(pending: Collection[str]) -> None:
            job = self._duplicates.best(self._known.find_new(identity))
            # Not if it was asked for again meanwhile: that looks for it, too.
            if not activity.over(key, time.monotonic(), settle):
                return
            if job is None:
                self._provider.spending.budget.give_back(key)
                return
            self._known.add(identity, job)
            account = JobAccount(identity, len(marks_of(job.tags or ())) or 1)
            look_after = partial(self._settle_if_over, Submission(job, account, is_new=True))
            activity.submitted(key, look_after)
            look_after(pending)

        return settle

    # -- what there is already

    def _found(self, request: Request) -> Submission | None:
        """Return the job that answers a request, submitted before; None if there is none."""
        identity = request.identity
        job = self._duplicates.best(self._known.of(identity))
        if job is None:
            return None
        self._known.add(identity, job)
        tags = job.tags or ()
        submission = Submission(
            job,
            JobAccount(identity, len(marks_of(tags)) or 1),
            is_new=False,
            is_doubtful=self._known.is_doubtful(identity),
            position=position_of(tags, identity.request),
        )
        settle = partial(self._settle_if_over, submission)
        self._provider.activity.submitted(identity.request, settle)
        self._provider.emit(JobReattachedEvent(job.job_id(), request.primitive.program))
        return submission

    def _once(self, request: Request) -> Submission:
        """Submit a request, or a pack that another thread may have begun to submit."""
        return self._found(request) or self.submit(request)

    def _note_earlier(self, jobs: "Sequence[RuntimeJobV2]") -> None:
        """Take note of the jobs of earlier attempts."""
        self._charge_earlier(jobs)
        self._provider.logger.info(
            "Attempt %d of the flow run; the service has %d jobs of earlier ones. What is asked "
            "again is answered by them, and not paid again.",
            self._owner.flow_run.run_count,
            len(jobs),
        )

    def _charge_earlier(self, jobs: "Sequence[RuntimeJobV2]") -> None:
        """Enter in the budgets what earlier attempts have spent."""
        from prefect_qsession.ibm.jobs import job_status  # noqa: PLC0415 - slow to import
        from prefect_qsession.ibm.released import find_session  # noqa: PLC0415 - slow to import

        spending = self._provider.spending
        if spending.counts_qpu:
            for job in jobs:
                # Of one that goes on the charge is not final.
                if job_status(job).is_over:
                    spending.charge(job.job_id(), job)
        if spending.counts_sessions:
            service = self._provider.backend().service
            for session_id in {job.session_id for job in jobs} - {None}:
                if session := find_session(service, session_id):
                    spending.charge_session(session)

    def _tell_if_others_were_not_asked_for(self, identity: JobIdentity) -> None:
        # Every earlier request that is made again has been made by the time that a new one has its
        # result, also by tasks that run side by side.
        if left := self._known.unasked_beside(identity):
            self._provider.logger.warning(
                "This attempt asks for something else than the ones before it: %d of their jobs "
                "are not asked for again, and new ones are submitted and paid. To resume where an "
                "attempt stopped, let the flow do the same each time: fixed seeds, no clock, no "
                "random order.",
                left,
            )

    # -- a new job

    def _unseen(self, request: Request) -> Submission | None:
        """Return the job of a submission that was cut off, or not answered, if there is one."""
        identity = request.identity
        if not self._known.is_doubtful(identity):
            return None
        if (found := self._duplicates.look_for(identity)) is None:
            return None
        account = JobAccount(identity, request.members)
        return Submission(found, account, is_new=True, is_doubtful=True)

    def _submit_once(self, request: Request) -> Submission:
        """Have one job submitted for the request, however often that takes."""
        from prefect_qsession.ibm.transport import may_submit_twice  # noqa: PLC0415 - slow to import

        identity, submissions = request.identity, 0
        account = JobAccount(identity, request.members)
        is_doubtful = self._known.is_doubtful(identity)
        while True:
            session = self._provider.acquire()
            submissions += 1
            try:
                job = request.primitive.run(session.client_mode, identity.tags, request.arguments)
            except SessionLost as error:
                self._provider.give_up(session, error.reason)
            except ServiceError as error:
                if error.doubtful:
                    is_doubtful = True
                    self._known.doubt(identity)
                    if found := self._duplicates.look_for(identity):
                        return Submission(found, account, is_new=True, is_doubtful=True)
                    if submissions < SUBMISSIONS:
                        continue
                # Closed from here meanwhile, because the flow run is idle, or ends.
                elif not self._provider.holds(session):
                    continue
                raise
            else:
                is_doubtful = is_doubtful or may_submit_twice(self._provider.backend().service)
                if is_doubtful:
                    job = self._duplicates.settle(identity, job)
                program = request.primitive.program
                self._provider.emit(JobSubmittedEvent(job.job_id(), session.session_id, program))
                return Submission(
                    job,
                    account,
                    is_new=True,
                    is_doubtful=is_doubtful,
                    submitted_at=time.monotonic(),
                    is_in_session=session.mode is not Mode.JOB,
                )

    def _earlier_runs(self) -> "Iterable[UUID]":
        return runs_before(self._owner) if self._reattaches else ()

    def _tagged(self, tags: "Iterable[str]") -> "list[RuntimeJobV2]":
        from prefect_qsession.ibm.jobs import jobs_tagged  # noqa: PLC0415 - slow to import

        return jobs_tagged(self._provider.backend().service, list(tags))
