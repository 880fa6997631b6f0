"""Of several jobs of one request, the one that goes on, and the end of the others."""

import time
from collections.abc import Callable, Sequence
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any

from prefect_qsession.exceptions import ServiceError
from prefect_qsession.jobs.known_jobs import KnownJobs
from prefect_qsession.jobs.reattachment import ACTIONS, JobIdentity, ReattachAction, best_of

if TYPE_CHECKING:
    from qiskit_ibm_runtime import RuntimeJobV2

LOOKS = (0.0, 0.5, 1.0, 2.0)
"""Seconds to wait before each look for a job whose submission was not answered: a service that is
in trouble may take a while to show what it has accepted."""


class Duplicates:
    """
    Leave one job to each request; every method is thread-safe.

    Args:
        known: The jobs of the flow run.
        logger: Told of every job that is taken up or cancelled.
        wait: Called with the seconds of a pause.
    """

    def __init__(
        self,
        known: KnownJobs,
        logger: "Logger | LoggerAdapter[Any]",
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._known = known
        self._logger = logger
        self._wait = wait

    def best(self, jobs: "Sequence[RuntimeJobV2]") -> "RuntimeJobV2 | None":
        """
        Return the job that answers, and cancel those beside it; None if a new one has to.

        Raises:
            ServiceError: The service did not tell how they stand.
        """
        from prefect_qsession.ibm.jobs import job_status  # noqa: PLC0415 - slow to import

        statuses = [job_status(job) for job in jobs]
        best = best_of(statuses)
        if best is None:
            return None
        for position, job in enumerate(jobs):
            if position != best and ACTIONS[statuses[position]] is ReattachAction.WAIT:
                self._cancel(job)
        return jobs[best]

    def look_for(self, identity: JobIdentity) -> "RuntimeJobV2 | None":
        """
        Look, more than once, whether the service has made a job of a request it did not answer.

        Raises:
            ServiceError: The service did not tell.
        """
        for pause in LOOKS:
            self._wait(pause)
            if job := self.best(self._known.find_new(identity)):
                self._logger.warning(
                    "The service did not answer, but it has accepted job %s: going on with it.",
                    job.job_id(),
                )
                return job
        return None

    def settle(self, identity: JobIdentity, job: "RuntimeJobV2") -> "RuntimeJobV2":
        """
        Return the one to go on with: this job, or one that was made of the same request before it,
        unseen, and has come further.
        """
        try:
            others = self._others(identity, job)
            return (self.best([*others, job]) or job) if others else job
        except ServiceError as error:
            self._unseen(error)
            return job

    def cancel_beside(self, identity: JobIdentity, job: "RuntimeJobV2") -> None:
        """Cancel what was made of the same request, unseen, beside this job, which is over."""
        try:
            for other in self._others(identity, job):
                self._cancel(other)
        except ServiceError as error:
            self._unseen(error)

    def _others(self, identity: JobIdentity, job: "RuntimeJobV2") -> "list[RuntimeJobV2]":
        found = self._known.find_new(identity)
        return [other for other in found if other.job_id() != job.job_id()]

    def _cancel(self, job: "RuntimeJobV2") -> None:
        from prefect_qsession.ibm.jobs import cancel_job  # noqa: PLC0415 - slow to import

        try:
            if cancel_job(job):
                self._logger.warning("Cancelled job %s: it was a duplicate.", job.job_id())
        except ServiceError as error:
            self._logger.warning("A duplicate could not be cancelled: %s", error)

    def _unseen(self, error: ServiceError) -> None:
        self._logger.warning("It cannot be seen whether a job was made twice: %s", error)
