"""How a job ends that was computed: after how long on the QPU, and with what to say about it."""

import math
from dataclasses import dataclass

from prefect_qsession.emulator.rules import qpu_time
from prefect_qsession.emulator.rules.reasons import RAN_TOO_LONG, UNSAID, USAGE_LIMIT, Reason
from prefect_qsession.emulator.rules.simulation import Outcome
from prefect_qsession.emulator.rules.states import JobEvent
from prefect_qsession.emulator.rules.workloads import Job
from prefect_qsession.emulator.settings import EmulatorSettings


@dataclass(frozen=True)
class Ending:
    """What happens to a running job when it has held the QPU for so long."""

    qpu_seconds: float
    event: JobEvent
    reason: Reason = UNSAID
    is_charged: bool = True


def ending(settings: EmulatorSettings, job: Job, outcome: Outcome, started: float) -> Ending:
    """Decide how a job that started then ends, from what a simulator made of it."""
    seed = qpu_time.derived_seed(settings.seed, job.ordinal, "timing")
    seconds = round(qpu_time.qpu_seconds(settings.timing, outcome, seed), 6)
    may_use = math.inf
    if settings.disputed.running_jobs_at_usage_limit == "cancel" and not job.is_session_billed:
        may_use = job.account.seconds_left(started)
    if seconds > min(job.max_seconds, may_use):
        if may_use < job.max_seconds:
            return Ending(may_use, JobEvent.CANCEL, USAGE_LIMIT)
        return Ending(float(job.max_seconds), JobEvent.CANCEL, RAN_TOO_LONG)
    if (failure := job.injected_failure) is not None:
        return Ending(seconds, failure.event, failure.reason, failure.is_charged)
    if outcome.result is None:
        reason = Reason(outcome.reason, outcome.reason_code, outcome.reason_solution)
        return Ending(seconds, JobEvent.FAIL, reason)
    return Ending(seconds, JobEvent.COMPLETE)
