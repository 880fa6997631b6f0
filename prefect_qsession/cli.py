"""The `qsession` command."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_qsession.emulator import Emulator, EmulatorSettings


EMULATOR_NEEDS = ("fastapi", "qiskit_aer", "uvicorn")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit status."""
    options = _parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qsession", description="One IBM Quantum session per Prefect flow run."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    emulator = commands.add_parser(
        "emulator", help="the Runtime service on this machine, without an account"
    )
    actions = emulator.add_subparsers(title="actions", required=True, metavar="ACTION")
    start = actions.add_parser(
        "start",
        help="run it until Ctrl-C",
        description="Run the Runtime service on loopback until Ctrl-C, and print what an "
        "unmodified client needs in its environment.",
    )
    start.add_argument(
        "--port", type=int, default=0, help="port to listen on; a free one if left out"
    )
    start.add_argument(
        "--time-scale",
        type=float,
        default=1.0,
        help="how much faster its time passes than ours (%(default)s)",
    )
    start.add_argument(
        "--jobs-ahead",
        type=int,
        default=0,
        help="jobs of other tenants that queue before ours (%(default)s)",
    )
    start.add_argument(
        "--seconds-ahead",
        type=float,
        default=10.0,
        help="seconds that each of those takes (%(default)s)",
    )
    start.add_argument(
        "--job-seconds",
        type=float,
        default=None,
        help="QPU seconds of each of our jobs; by IBM's formula from its shots if left out",
    )
    start.add_argument(
        "--noise",
        choices=["shots", "none"],
        default="shots",
        help="'none' makes legacy estimators exact (%(default)s)",
    )
    start.add_argument(
        "--plan",
        choices=["open", "pay-as-you-go", "flex", "premium"],
        default="premium",
        help="plan of the instance; the open plan refuses sessions, as IBM does (%(default)s)",
    )
    start.set_defaults(run=_start_emulator)
    return parser


def _start_emulator(options: argparse.Namespace) -> int:
    # Its own processes import what computes; without it they would fail after it has started.
    if missing := [name for name in EMULATOR_NEEDS if find_spec(name) is None]:
        print(
            f"The emulator needs {', '.join(missing)}. Install its extra: "
            "pip install 'prefect-qsession[emulator]'",
            file=sys.stderr,
        )
        return 1
    from prefect_qsession.emulator import serve  # noqa: PLC0415 - an extra

    try:
        serve(_emulator_settings(options), port=options.port, on_ready=_print_environment)
    except (OSError, ValueError) as error:
        print(f"The emulator could not start: {error}", file=sys.stderr)
        return 1
    return 0


def _emulator_settings(options: argparse.Namespace) -> "EmulatorSettings":
    from prefect_qsession.emulator import (  # noqa: PLC0415 - an extra
        EmulatorSettings,
        InstanceSettings,
        QueueSettings,
        TimingSettings,
    )

    return EmulatorSettings(
        instances=(InstanceSettings(plan=options.plan),),
        queue=QueueSettings(options.jobs_ahead, options.seconds_ahead),
        timing=TimingSettings(fixed_seconds=options.job_seconds),
        noise=options.noise,
        time_scale=options.time_scale,
    )


def _print_environment(emulator: "Emulator") -> None:
    devices = ", ".join(device.name for device in emulator.settings.devices)
    print(f"# The Runtime service, emulated at {emulator.url}, with {devices}.")
    print("# Paste these lines into another terminal; QiskitRuntimeService() then needs nothing.")
    for name, value in emulator.environment().items():
        print(f"export {name}='{value}'")
    print("# What it has seen so far: curl", f"{emulator.url}/emulator/record")
    print("# Ctrl-C stops it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
