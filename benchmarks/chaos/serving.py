"""
A process that serves the flows.

    python -m benchmarks.chaos.serving FLOW FLOW
"""

import sys
from typing import Any

from prefect import serve

from benchmarks.chaos import flows
from benchmarks.endings.serving import IMPORTED

if __name__ == "__main__":
    chosen: list[Any] = [getattr(flows, name) for name in sys.argv[1:]]
    serve(*(flow.to_deployment(name=IMPORTED) for flow in chosen))
