"""
The emulated service as a process of its own, with settings that the command line does not have.

    python -m benchmarks._service '{"job_seconds": 0.15, "spread": 0.2}'
"""

import json
import sys
from typing import Any

from prefect_qsession.emulator import (
    DeviceSettings,
    Emulator,
    EmulatorSettings,
    QueueSettings,
    TimingSettings,
    serve,
)


def main() -> None:
    """Serve until it is told to end; print the environment of its clients as one line of JSON."""
    asked = json.loads(sys.argv[1])
    more: dict[str, Any] = {}
    if count := asked.get("devices"):
        names = (f"device_{number}" for number in range(count))
        more["devices"] = tuple(DeviceSettings(name, "manila") for name in names)
    serve(
        EmulatorSettings(
            timing=TimingSettings(fixed_seconds=asked["job_seconds"], spread=asked["spread"]),
            queue=QueueSettings(asked["jobs_ahead"], asked["seconds_ahead"]),
            time_scale=asked["time_scale"],
            **more,
        ),
        on_ready=_tell,
    )


def _tell(emulator: Emulator) -> None:
    print(json.dumps({"url": emulator.url, "environment": emulator.environment()}), flush=True)


if __name__ == "__main__":
    main()
