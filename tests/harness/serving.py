"""
A process that serves flows.

    python -m tests.harness.serving FLOW       # flow.serve(): runs get a pickle of the flow
    python -m tests.harness.serving FLOW FLOW  # serve(...): runs import it
"""

import sys
from typing import Any

from prefect import serve

from tests.harness import flows

SERVED = "served"
"""Name of the deployment of `flow.serve()`."""
IMPORTED = "imported"
"""Name of the deployments of `serve(...)`."""


def main() -> None:
    """Serve the flows of the command line until stopped."""
    chosen: list[Any] = [getattr(flows, name) for name in sys.argv[1:]]
    if len(chosen) == 1:
        chosen[0].serve(name=SERVED)
    else:
        serve(*(flow.to_deployment(name=IMPORTED) for flow in chosen))


if __name__ == "__main__":
    main()
