"""What the session saved against job mode: an estimate, and said to be one."""

from prefect_qsession.config.modes import Mode
from prefect_qsession.reporting.report.model import RunReport
from prefect_qsession.reporting.report.words import count, duration

MEASURED_AT_LEAST = 1.0
"""Shorter waits are not told apart from the time that a request takes."""


def savings(report: RunReport) -> tuple[str, str] | None:
    """
    Return what to say of it, in short and how it is known; None if nothing is known.

    Where each job queues by itself, jobs that are under way together wait together, and jobs that
    follow from each other wait one after the other. So it is rounds that count, not jobs: a round
    begins with a job that is submitted while none is under way. Each is taken to wait as long as
    the session's first job did, which the next ones might not have: a queue has its hours.
    """
    waits = [
        history.queue_seconds
        for history in report.sessions
        if history.mode is Mode.SESSION and history.queue_seconds is not None
    ]
    rounds = sum(job.begins_round for job in report.jobs.values())
    spared = rounds - len(waits)
    if not waits or spared < 1:
        return None
    wait = sum(waits) / len(waits)
    if wait < MEASURED_AT_LEAST:
        return "next to nothing", "There was hardly a queue."
    return f"about {duration(spared * wait)} of queueing", (
        "What was saved is an estimate: job by job, "
        f"{count(spared, 'later round')} of jobs would each have queued as long as the first did, "
        f"{duration(wait)}. The session time is its price."
    )
