"""Running one task: from the body of a request to an outcome, whatever the body holds."""

import logging

from qiskit_aer import AerError

from prefect_qsession.emulator.computing.programs.circuits import DeviceFacts
from prefect_qsession.emulator.computing.programs.decoding import parameters_of
from prefect_qsession.emulator.computing.programs.estimator import run_estimator
from prefect_qsession.emulator.computing.programs.executor import run_executor
from prefect_qsession.emulator.computing.programs.failures import JobFailure
from prefect_qsession.emulator.computing.programs.noise_learner import run_noise_learner
from prefect_qsession.emulator.computing.programs.sampler import run_sampler
from prefect_qsession.emulator.rules.simulation import Outcome, SimulationTask

logger = logging.getLogger(__name__)


def run_program(task: SimulationTask) -> Outcome:
    """
    Compute a task. Never raises.

    A job that cannot be run as it was sent fails by its user's fault; anything unforeseen is an
    internal error, and is logged here, in the simulator's process.
    """
    try:
        params = parameters_of(task.body)
        facts = DeviceFacts(task.device_facts)
        match task.program_id:
            case "sampler":
                outcome = run_sampler(params, facts, task.seed)
            case "estimator":
                outcome = run_estimator(params, facts, task.seed, exact=task.noise == "none")
            case "noise-learner":
                outcome = run_noise_learner(params, facts)
            case _:
                outcome = run_executor(params, facts, task.seed)
    except JobFailure as failure:
        return Outcome(
            reason=failure.reason,
            reason_code=failure.code,
            reason_solution=failure.solution,
            user_error=True,
        )
    except (AerError, MemoryError) as error:
        logger.warning("a job is too large for the simulator: %s", error)
        return Outcome(
            reason=f"The emulator cannot simulate this job: {error}",
            reason_code=1506,
            reason_solution="Use fewer qubits, or circuits of Clifford gates.",
            user_error=True,
        )
    except Exception:
        logger.exception("a job could not be computed")
        return Outcome.internal_error()
    return outcome
