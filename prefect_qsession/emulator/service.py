"""
The emulated service: what it has, and what it does when asked.

Pure rules: no HTTP, no threads, no processes, and the time is an argument. The scheduler does the
part that happens by itself.
"""

import math
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from prefect_qsession.emulator import errors
from prefect_qsession.emulator.agenda import Agenda
from prefect_qsession.emulator.devices import Device, load_device
from prefect_qsession.emulator.records import JobRecord, Mode, SessionRecord
from prefect_qsession.emulator.scheduler import Qpu, Scheduler
from prefect_qsession.emulator.settings import EmulatorSettings, InstanceSettings
from prefect_qsession.emulator.simulation import Outcome, SimulationTask
from prefect_qsession.emulator.states import SessionState
from prefect_qsession.emulator.timing import derived_seed
from prefect_qsession.emulator.workloads import Job, Session

PROGRAMS = frozenset({"sampler", "estimator", "executor"})
MAX_TAGS = 8
MAX_TAG_LENGTH = 86

_ID_LETTERS = "0123456789abcdefghijklmnopqrstuv"


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list; `None` and the empty tuple mean any."""

    backend: str | None = None
    pending: bool | None = None
    program: str | None = None
    tags: tuple[str, ...] = ()
    session_id: str | None = None
    created_after: float | None = None
    created_before: float | None = None

    def takes(self, job: Job) -> bool:
        """Tell whether a job is among them."""
        return (
            self.backend in (None, job.backend)
            and self.pending in (None, not job.is_final)
            and self.program in (None, job.program_id)
            and set(self.tags) <= set(job.tags)
            and (self.session_id is None or _session_id(job) == self.session_id)
            and (self.created_after is None or job.created >= self.created_after)
            and (self.created_before is None or job.created <= self.created_before)
        )


def _session_id(job: Job) -> str | None:
    return None if job.session is None else job.session.id


class Service:
    """
    The state of the emulated service, and every operation on it.

    Refusals are `ServiceError`s and change nothing. Not thread-safe: the conductor lets in one
    caller at a time, and has brought the service up to the time it passes.
    """

    def __init__(self, settings: EmulatorSettings) -> None:
        self.settings = settings
        self.instances = {instance.crn: instance for instance in settings.instances}
        self.qpus = {
            device.name: Qpu(load_device(device), device.queue or settings.queue)
            for device in settings.devices
        }
        self.agenda = Agenda()
        self._scheduler = Scheduler(settings, self.qpus, self.agenda)
        self._jobs: dict[str, Job] = {}
        self._sessions: dict[str, Session] = {}
        self._jobs_created = 0

    # -- devices and instances

    def qpu(self, name: str) -> Qpu:
        """Return a device's QPU, or refuse."""
        try:
            return self.qpus[name]
        except KeyError:
            raise errors.backend_not_found(name) from None

    def usage_seconds(self, crn: str, now: float) -> int:
        """Return what an instance has used: jobs in job mode, batches, sessions."""
        alone = (j.charged_seconds or 0 for j in self._jobs.values() if _alone(j, crn))
        grouped = (s.usage_seconds(now) for s in self._sessions.values() if s.instance == crn)
        return math.ceil(sum(alone) + sum(grouped))

    # -- sessions

    def create_session(
        self, instance: InstanceSettings, backend: str, mode: Mode, max_ttl: int | None, now: float
    ) -> Session:
        """Open a session or batch."""
        limits = self.settings.limits
        self._require_working(backend)
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
            backend=backend,
            mode=mode,
            created=now,
            max_ttl_seconds=max_ttl or most,
            interactive_ttl_seconds=interactive_ttl,
        )
        self._sessions[session.id] = session
        self._scheduler.open_session(session)
        return session

    def session(self, crn: str, session_id: str) -> Session:
        """Return a session of an instance, or refuse."""
        session = self._sessions.get(session_id)
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
        now: float,
    ) -> Job:
        """Accept a job and queue it."""
        if program_id not in PROGRAMS:
            raise errors.program_not_found(program_id)
        self._require_working(backend)
        session = None if session_id is None else self.session(instance.crn, session_id)
        if session is not None:
            if session.state is SessionState.CLOSED or not session.accepting_jobs:
                raise errors.session_closed()
            if session.backend != backend:
                why = f"the session is on backend {session.backend}"
                raise errors.invalid_body(why)
        limits = self.settings.limits
        is_open = instance.plan == "open"
        most = limits.open_plan_job_max_seconds if is_open else limits.job_max_seconds
        job = Job(
            id="".join(secrets.choice(_ID_LETTERS) for _ in range(20)),
            ordinal=self._jobs_created,
            instance=instance.crn,
            backend=backend,
            program_id=program_id,
            body=body,
            created=now,
            max_seconds=min(max_seconds or most, most),
            session=session,
            tags=checked_tags(tags),
            private=private,
        )
        self._jobs_created += 1
        self._jobs[job.id] = job
        self._scheduler.submit(job, now)
        return job

    def job(self, crn: str, job_id: str) -> Job:
        """Return a job of an instance, or refuse."""
        job = self._jobs.get(job_id)
        if job is None or job.instance != crn:
            raise errors.job_not_found(job_id)
        return job

    def find_jobs(self, crn: str, wanted: JobFilter, *, oldest_first: bool) -> list[Job]:
        """Return an instance's jobs that the filter takes, in order of creation."""
        found = [j for j in self._jobs.values() if j.instance == crn and wanted.takes(j)]
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
        del self._jobs[job.id]

    def read_result(self, job: Job) -> bytes | None:
        """Return a completed job's result; a private job's only once."""
        if job.outcome is None or str(job.state) != "Completed":
            return None
        if job.private and job.result_was_read:
            return None
        job.result_was_read = True
        return job.outcome.result

    # -- the conductor's side

    def take_started(self) -> list[Job]:
        """Hand over the jobs that started since the last call."""
        started, self._scheduler.started_jobs = self._scheduler.started_jobs, []
        return started

    def simulation_task(self, job: Job) -> SimulationTask:
        """Return what a simulator must know to compute a job."""
        return SimulationTask(
            program_id=job.program_id,
            body=job.body,
            device_facts=self.device(job.backend).facts,
            seed=derived_seed(self.settings.seed, job.ordinal, "results"),
            noise=self.settings.noise,
        )

    def device(self, name: str) -> Device:
        """Return a device, or refuse."""
        return self.qpu(name).device

    def computed(self, job: Job, outcome: Outcome, now: float) -> None:
        """Take what a simulator made of a job."""
        self._scheduler.computed(job, outcome, now)

    def records(self, now: float) -> tuple[list[SessionRecord], list[JobRecord]]:
        """Return frozen copies of every session and job, in order of creation."""
        return (
            [session.record(now) for session in self._sessions.values()],
            [job.record() for job in self._jobs.values()],
        )

    def _require_working(self, backend: str) -> None:
        if self.device(backend).status == "offline":
            raise errors.backend_unavailable(backend)


def _alone(job: Job, crn: str) -> bool:
    return job.session is None and job.instance == crn


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags, or refuse too many or too long ones."""
    checked = tuple(tags)
    if len(checked) > MAX_TAGS:
        raise errors.too_many_tags(MAX_TAGS)
    if any(len(tag) > MAX_TAG_LENGTH for tag in checked):
        raise errors.tag_too_long(MAX_TAG_LENGTH)
    return checked
