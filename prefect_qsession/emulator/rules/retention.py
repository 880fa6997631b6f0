"""What is kept of jobs that are over, and what is let go."""

from collections import deque

from prefect_qsession.emulator.rules.workloads import Job


class Retention:
    """
    Keeps the parameters and results of the latest jobs: *most_jobs*, of *most_bytes* in all.

    A job that is not over keeps what it has, whatever that adds up to.
    """

    def __init__(self, most_jobs: int, most_bytes: int) -> None:
        self._most_jobs = most_jobs
        self._most_bytes = most_bytes
        self._kept: deque[Job] = deque()
        self._bytes = 0

    def keep(self, job: Job) -> None:
        """Keep a job that has come; others may have to go for it."""
        self._kept.append(job)
        self._bytes += job.size
        self._let_go()

    def grow(self, size: int) -> None:
        """Take note that a job that is kept has so many bytes more."""
        self._bytes += size
        self._let_go()

    def _let_go(self) -> None:
        for _ in range(len(self._kept)):
            if len(self._kept) <= self._most_jobs and self._bytes <= self._most_bytes:
                return
            oldest = self._kept.popleft()
            if oldest.is_final:
                self._bytes -= oldest.size
                oldest.forget()
            else:
                self._kept.append(oldest)
