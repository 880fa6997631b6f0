"""
The emulated service: what it has, and what it does when asked.

Pure rules: no HTTP, no threads, no processes, and the time is an argument. The scheduler does the
part that happens by itself.
"""

import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace

from prefect_qsession.emulator.rules import errors
from prefect_qsession.emulator.rules.accounts import Account
from prefect_qsession.emulator.rules.devices import Device, mock_name, mock_of
from prefect_qsession.emulator.rules.listings import JobFilter
from prefect_qsession.emulator.rules.qpu_time import derived_seed
from prefect_qsession.emulator.rules.qpus import Qpu
from prefect_qsession.emulator.rules.reasons import InjectedFailure
from prefect_qsession.emulator.rules.records import JobRecord, Mode, SessionRecord
from prefect_qsession.emulator.rules.retention import Retention
from prefect_qsession.emulator.rules.scheduler import Scheduler
from prefect_qsession.emulator.rules.simulation import Outcome, SimulationTask
from prefect_qsession.emulator.rules.states import SessionState
from prefect_qsession.emulator.rules.timers import Timers
from prefect_qsession.emulator.rules.workloads import (
    UNKNOWN_CLIENT,
    Client,
    Job,
    Session,
    checked_tags,
)
from prefect_qsession.emulator.settings import (
    DeviceStatus,
    EmulatorSettings,
    InstanceSettings,
    QueueSettings,
)

PROGRAMS = frozenset({"sampler", "estimator", "executor", "noise-learner"})

_ID_LETTERS = "0123456789abcdefghijklmnopqrstuv"


class Service:
    """
    The state of the emulated service, and every operation on it.

    *devices* are those of the settings, with their data.

    Refusals are `ServiceError`s and change nothing. Not thread-safe: the running service
    lets in one caller at a time, and has brought the rules up to the time it passes.
    """

    def __init__(self, settings: EmulatorSettings, devices: Sequence[Device]) -> None:
        self.settings = settings
        self._accounts = {
            instance.crn: Account(instance, settings.limits) for instance in settings.instances
        }
        self.qpus = {
            device.name: Qpu(device, given.queue or settings.queue)
            for device, given in zip(devices, settings.devices, strict=True)
        }
        mocks = [mock_of(qpu.device) for qpu in self.qpus.values()]
        self.mock_qpus = {
            mock.name: Qpu(mock, QueueSettings()) for mock in mocks if mock.name not in self.qpus
        }
        self.timers = Timers()
        self._scheduler = Scheduler(settings, self.qpus | self.mock_qpus, self.timers)
        self.jobs: dict[str, Job] = {}
        self.sessions: dict[str, Session] = {}
        self._retention = Retention(settings.kept_results, settings.kept_bytes)
        self._jobs_created = 0

    def begin(self, now: float) -> None:
        """Let happen from now on what happens by itself."""
        self._scheduler.begin(now)

    # -- devices and instances

    def qpu(self, name: str) -> Qpu:
        """Return the QPU of a device or of its mock, or refuse."""
        qpu = self.qpus.get(name) or self.mock_qpus.get(name)
        if qpu is None:
            raise errors.backend_not_found(name)
        return qpu

    def set_device_status(self, name: str, status: DeviceStatus, now: float) -> None:
        """Take a device into maintenance, or out of service, or back; what runs goes on."""
        if name not in self.qpus:
            raise errors.backend_not_found(name)
        qpu = self.qpus[name]
        qpu.device = replace(qpu.device, status=status)
        self._scheduler.fill(qpu, now)

    def account(self, crn: str) -> Account:
        """Return what an instance has used and may use."""
        return self._accounts[crn]

    # -- sessions

    def create_session(
        self, instance: InstanceSettings, backend: str, mode: Mode, max_ttl: int | None, now: float
    ) -> Session:
        """Open a session or batch."""
        limits = self.settings.limits
        self._require_working(backend)
        self._require_usage_left(instance, now)
        if mode == "dedicated":
            if instance.plan == "open":
                raise errors.sessions_not_in_open_plan()
            interactive_ttl, most = (
                limits.session_interactive_ttl_seconds,
                limits.session_max_ttl_seconds,
            )
        else:
            interactive_ttl = limits.batch_interactive_ttl_seconds
            is_open = instance.plan == "open"
            most = (
                limits.open_plan_batch_max_ttl_seconds if is_open else limits.batch_max_ttl_seconds
            )
        if max_ttl is not None and max_ttl > most:
            why = f"max_ttl must not exceed {most}"
            raise errors.invalid_body(why)
        session = Session(
            id=str(uuid.uuid4()),
            instance=instance.crn,
            account=self._accounts[instance.crn],
            backend=backend,
            mode=mode,
            created=now,
            max_ttl_seconds=max_ttl or most,
            interactive_ttl_seconds=interactive_ttl,
        )
        self.sessions[session.id] = session
        self._scheduler.open_session(session)
        return session

    def session(self, crn: str, session_id: str) -> Session:
        """Return a session of an instance, or refuse."""
        session = self.sessions.get(session_id)
        if session is None or session.instance != crn:
            raise errors.session_not_found(session_id)
        return session

    def set_accepting_jobs(self, session: Session, accepting: bool, now: float) -> None:
        """
        Close a session for new jobs, or take that back.

        Taking it back does not reopen a closed session, though its flag changes.
        """
        if accepting:
            session.accepting_jobs = True
        else:
            self._scheduler.close_session(session, now)

    def cancel_session(self, session: Session, now: float) -> None:
        """Drop a session's queued jobs and accept no more. Safe to repeat."""
        self._scheduler.cancel_session(session, now)

    # -- jobs

    def create_job(
        self,
        instance: InstanceSettings,
        *,
        backend: str,
        program_id: str,
        body: bytes,
        session_id: str | None,
        tags: Iterable[str],
        max_seconds: int | None,
        private: bool,
        injected_failure: InjectedFailure | None = None,
        client: Client = UNKNOWN_CLIENT,
        now: float,
    ) -> Job:
        """Accept a job and queue it."""
        if program_id not in PROGRAMS:
            raise errors.program_not_found(program_id)
        self._require_working(backend)
        self._require_usage_left(instance, now)
        session = None if session_id is None else self.session(instance.crn, session_id)
        if session is not None:
            if session.state is SessionState.CLOSED or not session.accepting_jobs:
                raise errors.session_closed()
            if backend == mock_name(session.backend):
                # A dry run is apart: it takes no time of the session.
                session = None
            elif session.backend != backend:
                why = f"the session is on backend {session.backend}"
                raise errors.invalid_body(why)
        accepted_tags = checked_tags(tags)
        limits = self.settings.limits
        if not self._accounts[instance.crn].may_submit(now):
            raise errors.too_many_submissions(limits.submissions_per_minute or 0)
        is_open = instance.plan == "open"
        most = limits.open_plan_job_max_seconds if is_open else limits.job_max_seconds
        job = Job(
            id="".join(secrets.choice(_ID_LETTERS) for _ in range(20)),
            ordinal=self._jobs_created,
            instance=instance.crn,
            account=self._accounts[instance.crn],
            backend=backend,
            program_id=program_id,
            body=body,
            created=now,
            max_seconds=min(max_seconds or most, most),
            session=session,
            tags=accepted_tags,
            private=private,
            injected_failure=injected_failure,
            client=client,
            is_dry_run=backend in self.mock_qpus,
        )
        self._jobs_created += 1
        self.jobs[job.id] = job
        self._retention.keep(job)
        self._scheduler.submit(job, now)
        return job

    def job(self, crn: str, job_id: str) -> Job:
        """Return a job of an instance, or refuse."""
        job = self.jobs.get(job_id)
        if job is None or job.instance != crn:
            raise errors.job_not_found(job_id)
        return job

    def find_jobs(self, crn: str, wanted: JobFilter, *, oldest_first: bool) -> list[Job]:
        """Return an instance's jobs that the filter takes, in order of creation."""
        found = [j for j in self.jobs.values() if j.instance == crn and wanted.takes(j)]
        return found if oldest_first else found[::-1]

    def cancel_job(self, job: Job, now: float) -> None:
        """Cancel a job, or refuse if its state is final."""
        if job.is_final:
            raise errors.job_in_wrong_state(job.id, "cancelled")
        self._scheduler.cancel_job(job, now)

    def delete_job(self, job: Job) -> None:
        """Forget a job, or refuse unless its state is final."""
        if not job.is_final:
            raise errors.job_in_wrong_state(job.id, "deleted")
        del self.jobs[job.id]

    def read_result(self, job: Job) -> bytes | None:
        """Return a completed job's result; a private job's only once."""
        if job.outcome is None or str(job.state) != "Completed":
            return None
        if job.private and job.result_was_read:
            return None
        job.result_was_read = True
        return job.outcome.result

    # -- for the service as it runs

    def has_waits(self) -> bool:
        """Tell whether a job here holds a QPU, or waits for one that is held."""
        return any(qpu.has_waits() for qpu in (self.qpus | self.mock_qpus).values())

    def take_started(self) -> list[Job]:
        """Hand over the jobs that started since the last call."""
        started, self._scheduler.started_jobs = self._scheduler.started_jobs, []
        return started

    def simulation_task(self, job: Job) -> SimulationTask:
        """Return what a simulator must know to compute a job."""
        return SimulationTask(
            program_id=job.program_id,
            body=job.body,
            device_facts=self.qpu(job.backend).device.facts,
            seed=derived_seed(self.settings.seed, job.ordinal, "results"),
            noise=self.settings.noise,
        )

    def computed(self, job: Job, outcome: Outcome, now: float) -> None:
        """Take what a simulator made of a job."""
        size = job.size
        self._scheduler.computed(job, outcome, now)
        self._retention.grow(job.size - size)

    def records(self, now: float) -> tuple[list[SessionRecord], list[JobRecord]]:
        """Return frozen copies of every session and job, in order of creation."""
        return (
            [session.record(now) for session in self.sessions.values()],
            [job.record() for job in self.jobs.values()],
        )

    def _require_working(self, backend: str) -> None:
        if self.qpu(backend).device.status == "offline":
            raise errors.backend_unavailable(backend)

    def _require_usage_left(self, instance: InstanceSettings, now: float) -> None:
        if not self._accounts[instance.crn].seconds_left(now):
            raise errors.usage_limit_reached()
