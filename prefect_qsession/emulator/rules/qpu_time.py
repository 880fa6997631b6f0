"""How long a job holds the QPU, and every number that is drawn by the service's seed."""

import hashlib
import random

from prefect_qsession.emulator.rules.simulation import Outcome
from prefect_qsession.emulator.settings import TimingSettings


def derived_seed(service_seed: int, job_ordinal: int, purpose: str) -> int:
    """
    Return a seed for one purpose of one job.

    The same service seed, job and place in the order of submission give the same seed in every
    process. The circuit's bytes have no part in it: they hold the parameters' random UUIDs.
    """
    text = f"{service_seed}/{job_ordinal}/{purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1


def qpu_seconds(timing: TimingSettings, outcome: Outcome, seed: int) -> float:
    """
    Return the time a job holds the QPU.

    A job that fails by its user's fault holds it for the overhead; one that the service lost, not
    at all (estimate-job-run-time guide, "failed job").
    """
    if outcome.result is None:
        return timing.overhead_seconds if outcome.user_error else 0.0
    if timing.fixed_seconds is not None:
        seconds = timing.fixed_seconds
    else:
        seconds = timing.overhead_seconds + timing.seconds_per_execution * outcome.executions
    return seconds * (1 + timing.spread * random.Random(seed).uniform(-1, 1))  # noqa: S311
