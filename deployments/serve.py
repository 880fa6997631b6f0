"""
Serve the VQE flow from this machine, without a work pool or a worker.

    python -m deployments.serve                       # runs when asked, until Ctrl-C
    python -m deployments.serve --cron "0 6 * * 1-5"  # and at six on working days

Run it in the root of the checkout. Credentials and backend are those of this machine's settings:
PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS and PREFECT_INTEGRATIONS_QSESSION_BACKEND.
"""

import argparse
from typing import Any

from prefect import serve

from flows.vqe import vqe

NAME = "h2-served"


def main() -> None:
    """Create or update the deployment, and run what is asked of it until stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.serve", description="Serve the VQE flow."
    )
    parser.add_argument("--cron", help="also run on this schedule, in UTC")
    options = parser.parse_args()
    # Not vqe.serve(): that sends each run's process a pickle of the flow, its task runner and all.
    # A deployment names the file instead, and the process imports it.
    # Its type is open because Prefect's allows for a coroutine, which it is in async code only.
    deployment: Any = vqe.to_deployment(
        name=NAME,
        cron=options.cron,
        description="The ground-state energy of H2, from this machine.",
        tags=["quantum", "vqe"],
        parameters={"molecule": "H2", "max_evaluations": 40},
    )
    serve(deployment)


if __name__ == "__main__":
    main()
