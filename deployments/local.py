"""
All of `deployments/` on this machine, for a look: `make deploy-local`.

Starts a Prefect server, the emulator in IBM's place and a worker, and gives the commands of
`deployments/README.md`. Then it waits until a flow run has come by its schedule and is over.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from demo import record
from demo.servers import Servers, stop_as_by_ctrl_c

ROOT = Path(__file__).parents[1]
POOL = "quantum"
SCHEDULED = "vqe/h2"
SAVE_BLOCK = (
    "from prefect_qsession import QiskitRuntimeCredentials as Q;"
    " Q.from_environment().save('ibm', overwrite=True)"
)
ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
FIRST_RUN_AFTER_SECONDS = 20
"""Prefect's command takes some of them, and its scheduler looks every five."""
LIMIT_SECONDS = 400.0

console = Console(highlight=False)


def main() -> int:
    """Bring everything up, wait for the scheduled run, tell of it, and stop; 0 if it completed."""
    parser = argparse.ArgumentParser(prog="python -m deployments.local", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    options = parser.parse_args()
    stop_as_by_ctrl_c()
    with Servers() as servers:
        with console.status("Starting a Prefect server and the emulator ..."):
            servers.start()
        console.print(f"Prefect server  {servers.prefect_url}")
        console.print(f"Emulator        {servers.emulator_url}\n")
        _deploy(servers)
        with console.status(f"Waiting for the scheduled run of {SCHEDULED} ..."):
            flow_run = _scheduled_run(servers.prefect_url)
        _tell(flow_run, servers)
        if options.keep:
            console.print(f"Everything stays up. Look at {servers.prefect_url}, then stop it:")
            console.print(f"  {servers.keep()}", soft_wrap=True)
    return 0 if flow_run["state_type"] == "COMPLETED" else 1


def _deploy(servers: Servers) -> None:
    """Give the commands that set it all up, and start the worker."""
    environment = os.environ | servers.environment()

    def give(*command: str, shown: str | None = None, **more: str) -> None:
        said = shown or " ".join(command).replace("-m prefect ", "prefect ")
        console.print(f"$ {said}", soft_wrap=True)
        ran = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise SystemExit(f"That failed:\n{ran.stdout}{ran.stderr}")

    give("-c", SAVE_BLOCK, shown="(save the block 'ibm')", **servers.emulator_environment())
    give("-m", "prefect", "work-pool", "create", POOL, "--type", "process")
    servers.start_worker(POOL)
    give("-m", "prefect", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
    give("-m", "deployments.automations", shown="python -m deployments.automations")
    soon = datetime.now(UTC) + timedelta(seconds=FIRST_RUN_AFTER_SECONDS)
    schedule = ("--interval", "180", "--anchor-date", f"{soon:%Y-%m-%dT%H:%M:%SZ}")
    give("-m", "prefect", "deployment", "schedule", "create", SCHEDULED, *schedule)
    console.print(f"\nEvery three minutes from {soon:%H:%M:%S} UTC on.")


def _scheduled_run(prefect_url: str) -> dict[str, Any]:
    """Wait until the flow run that the schedule has made is over, and return it."""
    flow, deployment = SCHEDULED.split("/")
    wanted = {
        "flows": {"name": {"any_": [flow]}},
        "deployments": {"name": {"any_": [deployment]}},
        "flow_runs": {"state": {"type": {"any_": ENDED}}},
    }
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{prefect_url}/api/flow_runs/filter",
        data=json.dumps(wanted).encode(),
        headers={"Content-Type": "application/json"},
    )
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        with directly.open(request) as reply:
            for flow_run in json.load(reply):
                if flow_run["auto_scheduled"]:
                    return dict(flow_run)
        time.sleep(0.5)
    raise SystemExit(f"No scheduled run of {SCHEDULED} was over after {LIMIT_SECONDS:.0f} s.")


def _tell(flow_run: dict[str, Any], servers: Servers) -> None:
    told = [story.lines() for story in record.sessions(servers.emulator_url)[:1]]
    lines = {
        "flow run": f"{flow_run['name']}: {flow_run['state_name']}, made by the schedule",
        **(told[0] if told else {"session": "none", "why": flow_run["state"]["message"]}),
        "look at": f"{servers.prefect_url}/runs/flow-run/{flow_run['id']}",
        "and at": f"{servers.prefect_url}/deployments, /automations, /work-pools",
    }
    for subject, line in lines.items():
        console.print(f"  {subject:<9} {line}", soft_wrap=True)
    console.print()


if __name__ == "__main__":
    sys.exit(main())
