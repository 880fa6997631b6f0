"""One job to each request: which of several goes on, when it is looked for, what is cancelled."""

import logging
from uuid import uuid4

import pytest

from prefect_qsession.exceptions import ServiceError
from prefect_qsession.jobs.duplicates import LOOKS, Duplicates
from prefect_qsession.jobs.known_jobs import KnownJobs
from prefect_qsession.jobs.reattachment import JobIdentity

RUN = uuid4()
IDENTITY = JobIdentity(RUN, "f" * 32, 1)


class Job:
    """A job as far as it is looked at here."""

    def __init__(self, name: str, status: str, identity: JobIdentity = IDENTITY) -> None:
        self.name = name
        self.standing = status
        self.tags = identity.tags
        self.cancels = 0

    def job_id(self) -> str:
        return self.name

    def status(self) -> str:
        return self.standing

    def cancel(self) -> None:
        self.cancels += 1


class Service:
    """Lists its jobs by their tags, from the look on that each is seen at."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = [(0, job) for job in jobs]
        self.looks = 0
        self.fails = False

    def shows(self, job: Job, look: int) -> None:
        self.jobs.append((look, job))

    def find(self, tags) -> list[Job]:
        self.looks += 1
        if self.fails:
            raise ServiceError("Could not list the jobs.")
        return [job for look, job in self.jobs if self.looks > look and set(tags) <= set(job.tags)]


class Bench:
    """Duplicates of one attempt of a flow run, with the time by hand."""

    def __init__(self, service: Service, earlier_runs=()) -> None:
        self.read: list[Job] = []
        self.pauses: list[float] = []
        self.known = KnownJobs(lambda: earlier_runs, service.find, self.read.extend)
        self.duplicates = Duplicates(self.known, logging.getLogger("test"), self.pauses.append)


def test_the_one_that_has_come_furthest_goes_on_and_those_that_wait_are_cancelled():
    """Done before running before queued; what is over needs no cancelling."""
    jobs = [Job("a", "QUEUED"), Job("b", "RUNNING"), Job("c", "CANCELLED"), Job("d", "DONE")]
    duplicates = Bench(Service()).duplicates

    assert jobs[3] is duplicates.best(jobs)
    assert [1, 1, 0, 0] == [job.cancels for job in jobs]
    assert jobs[1] is duplicates.best(jobs[:3])
    assert duplicates.best([jobs[2]]) is None
    assert duplicates.best([]) is None


def test_an_unanswered_submission_is_looked_for_several_times():
    """The job shows up at the third look."""
    job, service = Job("a", "QUEUED"), Service()
    service.shows(job, look=2)
    bench = Bench(service)

    assert job is bench.duplicates.look_for(IDENTITY)
    assert list(LOOKS[:3]) == bench.pauses


def test_what_is_known_already_is_not_found_anew():
    """The job of an equal request before is not taken for the lost one."""
    job = Job("a", "DONE")
    bench = Bench(Service(job))
    bench.known.add(IDENTITY, job)

    assert bench.duplicates.look_for(IDENTITY) is None
    assert list(LOOKS) == bench.pauses


@pytest.mark.parametrize(
    ("first", "second", "goes_on"), [("RUNNING", "QUEUED", "first"), ("QUEUED", "DONE", "second")]
)
def test_a_job_that_shows_up_late_may_be_the_one_that_goes_on(first, second, goes_on):
    """It was submitted again meanwhile: whichever has come further stays."""
    jobs = {"first": Job("first", first), "second": Job("second", second)}
    duplicates = Bench(Service(*jobs.values())).duplicates

    assert jobs[goes_on] is duplicates.settle(IDENTITY, jobs["second"])
    assert 0 == jobs[goes_on].cancels


def test_a_look_that_fails_after_the_submission_leaves_the_job_alone(caplog):
    """It is there, whatever else is."""
    job, service = Job("a", "QUEUED"), Service()
    service.fails = True
    duplicates = Bench(service).duplicates

    assert job is duplicates.settle(IDENTITY, job)
    duplicates.cancel_beside(IDENTITY, job)
    assert 2 == caplog.text.count("It cannot be seen whether a job was made twice")
    assert 0 == job.cancels


def test_a_first_attempt_reads_nothing():
    """And knows what it has submitted."""
    service = Service(Job("of another process", "DONE"))
    bench, job = Bench(service), Job("a", "DONE")
    bench.known.add(IDENTITY, job)

    assert [job] == bench.known.of(IDENTITY)
    assert (0, []) == (service.looks, bench.read)


def test_a_later_attempt_reads_once_what_all_earlier_runs_have():
    """Also those of another id: a subflow that was made anew."""
    before = uuid4()
    jobs = [
        Job("a", "DONE", JobIdentity(before, "f" * 32, 1)),
        Job("b", "DONE", JobIdentity(RUN, "e" * 32, 1)),
    ]
    service = Service(*jobs)
    bench = Bench(service, [before, RUN])

    assert jobs[:1] == bench.known.of(IDENTITY)
    assert jobs[1:] == bench.known.of(JobIdentity(RUN, "e" * 32, 1))
    assert jobs == bench.read
    assert 2 == service.looks


def test_a_list_that_cannot_be_read_is_asked_for_again():
    """The request fails, and the next one tries anew: nothing is submitted in ignorance."""
    job = Job("a", "DONE")
    service = Service(job)
    bench = Bench(service, [RUN])
    service.fails = True
    with pytest.raises(ServiceError):
        bench.known.of(IDENTITY)
    service.fails = False

    assert [job] == bench.known.of(IDENTITY)


def test_a_request_in_doubt_is_looked_for_each_time():
    """What is known comes first, and what is found is added to it."""
    known, unseen = Job("a", "CANCELLED"), Job("b", "DONE")
    bench = Bench(Service(known, unseen))
    bench.known.add(IDENTITY, known)
    bench.known.doubt(IDENTITY)

    assert [known, unseen] == bench.known.of(IDENTITY)


def test_what_was_not_asked_for_again_is_told_once_and_only_beside_something_new():
    """A request that an earlier attempt has made is nothing new, though its job was cancelled."""
    asked, left, new = (JobIdentity(RUN, digit * 32, 1) for digit in "abc")
    jobs = [Job("a", "CANCELLED", asked), Job("b", "DONE", left)]
    known = Bench(Service(*jobs), [RUN]).known
    known.of(asked)
    known.of(new)

    assert [0, 1, 0] == [known.unasked_beside(identity) for identity in (asked, new, new)]
