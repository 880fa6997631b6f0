"""Serve the VQE as a deployment, for the tests that look at it in Prefect's UI."""

from typing import Any

from prefect import serve

from flows.vqe import vqe

DEPLOYMENT = "vqe/watched"


def main() -> None:
    """Run what is asked of the deployment, until stopped."""
    deployment: Any = vqe.to_deployment(DEPLOYMENT.partition("/")[2], parameters={"precision": 0.1})
    serve(deployment)


if __name__ == "__main__":
    main()
