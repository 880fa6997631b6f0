"""
Serve the flows and the reaper from this machine, without a work pool or a worker.

    python -m deployments.serve                       # runs when asked, until Ctrl-C
    python -m deployments.serve --cron "0 6 * * 1-5" --timezone Europe/Berlin   # and the VQE at six

The reaper releases sessions that were left open: every five minutes, and at once when a flow run
crashes or is cancelled.

Run it in the root of the checkout. Credentials and backend are those of this machine's settings:
PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS and PREFECT_INTEGRATIONS_QSESSION_BACKEND.
"""

import argparse
from typing import Any

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.events import DeploymentEventTrigger
from prefect.events.schemas.events import ResourceSpecification
from prefect.schedules import Cron

from flows.dask_subspace import dask_subspace
from flows.error_mitigation import error_mitigation
from flows.gradient_vqe import gradient_vqe
from flows.qaoa import qaoa
from flows.reap_sessions import reap
from flows.sweep import sweep
from flows.vqe import vqe

VQE_NAME = "h2-served"
NAME = "served"
REAP_EVERY_SECONDS = 300
ONE_AFTER_ANOTHER = ConcurrencyLimitConfig(
    limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
)


def main() -> None:
    """Create or update the deployments, and run what is asked of them until stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.serve", description="Serve the flows and the reaper."
    )
    parser.add_argument("--cron", help="also run the VQE on this schedule")
    parser.add_argument("--timezone", default="UTC", help="of the schedule; UTC if left out")
    options = parser.parse_args()
    # Not vqe.serve(): that sends each run's process a pickle of the flow, its task runner and all.
    # A deployment names the file instead, and the process imports it.
    # Their type is open because Prefect's allows for coroutines, which they are in async code only.
    deployments: list[Any] = [
        vqe.to_deployment(
            VQE_NAME,
            schedule=Cron(options.cron, timezone=options.timezone) if options.cron else None,
            description="The ground-state energy of H2, from this machine.",
            tags=["quantum", "vqe"],
            parameters={"molecule": "H2", "max_evaluations": 40},
            concurrency_limit=ONE_AFTER_ANOTHER,
        ),
        *(
            flow.to_deployment(NAME, tags=["quantum"], concurrency_limit=ONE_AFTER_ANOTHER)
            for flow in (qaoa, gradient_vqe, sweep, error_mitigation, dask_subspace)
        ),
        reap.to_deployment(
            NAME,
            interval=REAP_EVERY_SECONDS,
            description="Releases sessions that were left open.",
            tags=["quantum"],
            concurrency_limit=1,
            triggers=[ended_badly()],
        ),
    ]
    serve(*deployments)


def ended_badly() -> DeploymentEventTrigger:
    """Return what starts the reaper at once: a flow run that crashed or was cancelled."""
    return DeploymentEventTrigger(
        name="a-flow-run-crashed-or-was-cancelled",
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        # Of any flow but its own. Not by the tag of flow runs with a session: events keep the tags
        # that a flow run began with.
        match_related=ResourceSpecification(
            {"prefect.resource.role": "flow", "prefect.resource.name": f"!{reap.name}"}
        ),
        expect={"prefect.flow-run.Crashed", "prefect.flow-run.Cancelled"},
    )


if __name__ == "__main__":
    main()
