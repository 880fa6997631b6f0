"""Run the demonstration: `python -m demo`, or `make demo`."""

import argparse
import json
import os
import subprocess
import sys
import time

from rich.console import Console

from demo.servers import Servers, stop_as_by_ctrl_c

console = Console(highlight=False)


def main() -> int:
    """Start the servers, have the story told, and stop them; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the servers running at the end")
    options = parser.parse_args()
    stop_as_by_ctrl_c()
    with Servers() as servers:
        with console.status("Starting a Prefect server and the emulator ..."):
            began = time.monotonic()
            servers.start()
        console.print(f"Prefect server  {servers.prefect_url}")
        console.print(f"Emulator        {servers.emulator_url}")
        console.print(f"                both up after {time.monotonic() - began:.1f} s\n")
        # In a process of its own: Prefect reads its settings when it is imported, and hands its
        # last logs and events to the server when its process ends, which must be before the server
        # does.
        story = subprocess.run(
            [sys.executable, "-m", "demo.story", servers.prefect_url, servers.emulator_url],
            env=os.environ | servers.environment(),
            # By a pipe, because an account does not belong into a process's environment.
            input=json.dumps(servers.emulator_environment()),
            text=True,
            check=False,
        )
        if options.keep:
            console.print(f"Both servers stay up. Look at {servers.prefect_url}, then stop them:")
            console.print(f"  {servers.keep()}", soft_wrap=True)
    return story.returncode


if __name__ == "__main__":
    sys.exit(main())
