"""What jobs were charged, read many at a time."""

from collections.abc import Callable, Collection, Iterator, Mapping

from qiskit_ibm_runtime import QiskitRuntimeService

from prefect_qsession.ibm.errors import translated
from prefect_qsession.ibm.internals import ListedJob, listed_jobs
from prefect_qsession.ibm.jobs import PAGE

_DOING = "read what the flow run's jobs were charged"


def charges(
    service: QiskitRuntimeService, job_ids: Collection[str], run_tag: str
) -> Mapping[str, float]:
    """
    Return what these of a flow run's jobs were charged; those not settled yet are left out.

    One request for two hundred jobs, the latest first, and no more than it takes.

    Raises:
        ServiceError: The service did not answer.
    """
    missing, found = set(job_ids), dict[str, float]()
    for page in _pages(service, run_tag) if missing else ():
        for job in page:
            if job.job_id in missing:
                missing.discard(job.job_id)
                if (seconds := _charge(job)) is not None:
                    found[job.job_id] = seconds
        if not missing:
            break
    return found


def run_charges(
    service: QiskitRuntimeService,
    run_tag: str,
    is_known: Callable[[str], bool],
    awaited: Collection[str],
) -> list[tuple[ListedJob, float | None]]:
    """
    Return the jobs of a flow run and what each was charged in seconds; None until it is settled.

    Read page by page as `charges` does, until a page has nothing new.

    Args:
        service: Of the instance that pays for them.
        run_tag: The tag of the flow run's jobs.
        is_known: Whether what a job was charged is known; those are left out.
        awaited: The jobs that were not settled last time.

    Raises:
        ServiceError: The service did not answer.
    """
    found, missing = list[tuple[ListedJob, float | None]](), set(awaited)
    for page in _pages(service, run_tag):
        new = [job for job in page if not is_known(job.job_id)]
        missing -= {job.job_id for job in page}
        found += [(job, _charge(job)) for job in new]
        if not new and not missing:
            break
    return found


def _pages(service: QiskitRuntimeService, run_tag: str) -> Iterator[list[ListedJob]]:
    """Yield what the service lists of the jobs of a flow run, the latest first."""
    seen = 0
    while True:
        with translated(_DOING):
            page = listed_jobs(service, run_tag, limit=PAGE, skip=seen)
        seen += len(page)
        yield page
        if len(page) < PAGE:
            return


def _charge(job: ListedJob) -> float | None:
    with translated(_DOING):
        usage = job.usage() or {}
    seconds = usage.get("qpu_charge_time_seconds")
    # As the client has it: whatever is not pending is final.
    return float(seconds) if seconds is not None and usage.get("status") != "pending" else None
