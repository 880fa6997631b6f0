"""
An open session with its layers of defence up: guarded, recorded and monitored.

They go up before the first job is submitted, so that the only session nobody knows of is one
without jobs, which costs nothing. They come down when the service has confirmed the release.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from threading import Lock
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect.exceptions import ObjectNotFound

from prefect_qsession.config.modes import Mode
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.exceptions import GuardianUnavailable, LedgerUnavailable
from prefect_qsession.ibm.records import ServiceAccess, WorkloadDetails
from prefect_qsession.ibm.workloads import RuntimeWorkload
from prefect_qsession.prefect_api.owners import Owner, root_flow_run_id, tag_flow_run
from prefect_qsession.release.guardian import guardian
from prefect_qsession.release.ledger import PrefectLedger
from prefect_qsession.release.monitor import Monitor, ReleaseReason
from prefect_qsession.release.processes import this_process
from prefect_qsession.release.records import LedgerEntry, Ward
from prefect_qsession.reporting.prefect_events import EventSubject, guardian_requests
from prefect_qsession.states import Release


class SafeguardedWorkload:
    """
    Behave as the workload inside, and keep its safeguards up until its release is confirmed.

    A release that fails leaves them: the guardian and the reaper then do what was asked here. Where
    no clock of the service's runs, in job mode, only the monitor is up.
    """

    def __init__(
        self,
        session: RuntimeWorkload,
        owner: Owner,
        policy: ResolvedPolicy,
        ledger: PrefectLedger,
        give_slot_back: Callable[[], None],
    ) -> None:
        self._session = session
        self._owner = owner
        self._policy = policy
        self._ledger = ledger
        self._give_slot_back = give_slot_back
        self._monitor: Monitor | None = None
        self._entry: LedgerEntry | None = None
        self._recording = Lock()
        self._recorded = False
        """Whether it is in the ledger, as far as is known."""
        self._may_be_recorded = False
        self._is_over = False
        self._on_gone: Callable[[str], object] = lambda _: None

    @property
    def session_id(self) -> str:
        """The service's id of the session."""
        return self._session.session_id

    @property
    def mode(self) -> Mode:
        """How the jobs in it belong together."""
        return self._session.mode

    @property
    def client_mode(self) -> Any:
        """What the client's primitives take as their mode."""
        return self._session.client_mode

    def put_up(
        self,
        access: ServiceAccess,
        backend_name: str,
        credentials: str | None,
        look_inside: Callable[[], ReleaseReason | None],
        on_reason: Callable[[ReleaseReason], None],
        on_gone: Callable[[str], object],
        now: datetime,
    ) -> None:
        """
        Guard, record and monitor the session.

        Args:
            access: For the guardian.
            backend_name: For people who look at the ledger.
            credentials: Name of the saved block, if it is saved.
            look_inside: Tells the reason to release that this process itself knows, if any.
            on_reason: Told, in a thread, why to release.
            on_gone: Told, in a thread, that another process has released it.
            now: The time at which the session was opened.

        Raises:
            LedgerUnavailable: It cannot be recorded, and the policy, or the lack of a guardian,
                requires it. Nothing is up then; the session is left to the caller.
        """
        self._on_gone = on_gone
        flow_run = self._owner.flow_run
        if self.mode is Mode.JOB:
            self._follow((flow_run.id,), look_inside, on_reason)
            return
        guarded = self._guard(access, backend_name)
        root_id = flow_run.id
        try:
            root_id = root_flow_run_id(flow_run)
            self._entry = LedgerEntry(
                session_id=self.session_id,
                backend_name=backend_name,
                instance_crn=access.instance_crn,
                credentials=credentials,
                flow_run_id=flow_run.id,
                flow_run_name=flow_run.name,
                root_flow_run_id=root_id,
                attempt=flow_run.run_count,
                process=this_process(),
                opened_at=now,
                max_time_seconds=self._policy.max_time_seconds,
            )
            self._record(self._entry)
        except (LedgerUnavailable, HTTPError, ObjectNotFound) as error:
            if self._policy.require_ledger or not guarded:
                guardian().discharge(self.session_id)
                raise _unrecorded(self.session_id, error) from error
            self._owner.logger.warning(
                "Session %s is not in the ledger: %s It goes on with the guardian and max_time.",
                self.session_id,
                error,
            )
        self._follow((flow_run.id, root_id), look_inside, on_reason)

    def take_down(self) -> None:
        """Let go of a session that is over; never raises, never waits for long."""
        if self._monitor is not None:
            self._monitor.stop()
        guardian().discharge(self.session_id)
        with self._recording:
            self._is_over = True
            is_to_be_forgotten = self._may_be_recorded
        if is_to_be_forgotten:
            self._forget()
        self._give_slot_back()

    def was_released_elsewhere(self) -> bool:
        """Whether another process has released it: only they take it from the ledger beside us."""
        try:
            return self._recorded and self._ledger.find(self.session_id) is None
        except LedgerUnavailable:
            return False

    def close(self) -> None:
        """Take no new jobs and let accepted ones finish; then take the safeguards down."""
        guardian().change(self.session_id, Release.CLOSE)
        self._session.close()
        self.take_down()

    def cancel(self) -> None:
        """Take no new jobs and drop those that have not started; then take the safeguards down."""
        guardian().change(self.session_id, Release.CANCEL)
        self._session.cancel()
        self.take_down()

    def details(self) -> WorkloadDetails:
        """Ask the service how the session stands."""
        return self._session.details()

    def _follow(
        self,
        flow_run_ids: Iterable[UUID],
        look_inside: Callable[[], ReleaseReason | None],
        on_reason: Callable[[ReleaseReason], None],
    ) -> None:
        self._monitor = Monitor(flow_run_ids, self._policy, look_inside, on_reason, self._beat)
        self._monitor.start()

    def _record(self, entry: LedgerEntry) -> None:
        with self._recording:
            if self._is_over:
                return
            self._may_be_recorded = True
        try:
            self._ledger.record(entry)
        finally:
            with self._recording:
                is_late = self._is_over
            if is_late:
                # It was released meanwhile, and forgotten before this.
                self._forget()
        self._recorded = True
        try:
            tag_flow_run(self._owner.flow_run)
        except (HTTPError, ObjectNotFound) as error:
            self._owner.logger.debug("The flow run could not be tagged: %s", error)

    def _forget(self) -> None:
        try:
            self._ledger.forget(self.session_id)
        except LedgerUnavailable as error:
            self._owner.logger.warning(
                "Session %s is over, but stays in the ledger until the reaper looks: %s",
                self.session_id,
                error,
            )

    def _beat(self) -> None:
        if self._entry is None:
            return
        if not self._recorded:
            # The API did not answer when the session was opened; perhaps it does now.
            self._record(self._entry)
        elif not self._ledger.beat(self._entry) and not self._is_over:
            self._entry_is_gone(self._entry)

    def _entry_is_gone(self, entry: LedgerEntry) -> None:
        """Go by what the service says: whoever releases a session takes its entry away."""
        if not self.details().accepting_jobs:
            self._on_gone("It takes no more jobs.")
            return
        self._owner.logger.warning(
            "Session %s was taken from the ledger of open sessions, and is open: recorded anew.",
            self.session_id,
        )
        self._record(entry)

    def _guard(self, access: ServiceAccess, backend_name: str) -> bool:
        ward = Ward(
            self.session_id,
            access,
            forget=self._ledger.forget_request(self.session_id),
            tell=guardian_requests(
                self.session_id, EventSubject.of(self._owner.flow_run, backend_name)
            ),
        )
        try:
            guardian().guard(ward)
        except GuardianUnavailable as error:
            self._owner.logger.warning("%s", error)
            return False
        return True


def _unrecorded(session_id: str, error: Exception) -> LedgerUnavailable:
    if isinstance(error, LedgerUnavailable):
        return error
    return LedgerUnavailable(f"record session {session_id}", f"{error}.", session_id)
