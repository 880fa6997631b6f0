"""`qsession emulator`: the Runtime service on this machine."""

import argparse
import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from prefect_qsession.cli.emulator_faults import add_fault_command
from prefect_qsession.cli.live import LiveView

if TYPE_CHECKING:
    from prefect_qsession.emulator import Emulator, EmulatorSettings


# Not an option: the command lines of a machine are there for all its users to see.
API_KEY_VARIABLE = "QSESSION_EMULATOR_API_KEY"
EMULATOR_NEEDS = ("fastapi", "qiskit_aer", "uvicorn")


def add_emulator_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what `qsession emulator` can do."""
    emulator = commands.add_parser(
        "emulator", help="the Runtime service on this machine, without an account"
    )
    actions = emulator.add_subparsers(title="actions", required=True, metavar="ACTION")
    start = actions.add_parser(
        "start",
        help="run it until Ctrl-C",
        description="Run the Runtime service on loopback until Ctrl-C; print what an unmodified "
        "client needs in its environment, and then what happens: as a picture that is kept up to "
        "date on a terminal, as a line for each change anywhere else.",
    )
    start.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; any but this machine's own needs an API key of yours, in the "
        f"environment variable {API_KEY_VARIABLE} (%(default)s)",
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
        "--arrivals-per-hour",
        type=float,
        default=0.0,
        help="jobs of other tenants that come by chance, on average (%(default)s)",
    )
    start.add_argument(
        "--arrival-seconds",
        type=float,
        default=60.0,
        help="seconds that each of those takes, on average (%(default)s)",
    )
    start.add_argument(
        "--jobs-at-start",
        type=int,
        default=0,
        help="how many of those are there at the start (%(default)s)",
    )
    start.add_argument(
        "--job-seconds",
        type=float,
        default=None,
        help="QPU seconds of each of our jobs; by IBM's formula from its shots if left out",
    )
    start.add_argument(
        "--execution-lanes",
        type=int,
        default=5,
        help="how many jobs run on a device at once, one of them on the QPU (%(default)s)",
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
    start.add_argument(
        "--fault",
        action="append",
        default=[],
        dest="faults",
        metavar="FAULT",
        help="something that goes wrong, '[METHOD] ROUTE EFFECT [NUMBER] [NAME=NUMBER ...]', such "
        "as 'POST /jobs answer 503 count=1'; may be repeated; docs/emulator.md has them all",
    )
    start.add_argument(
        "--no-control",
        action="store_false",
        dest="control",
        help="do not serve its record, its faults and its clock under /emulator",
    )
    start.set_defaults(run=_start)
    add_fault_command(actions)


def _start(options: argparse.Namespace) -> int:
    # Its own processes import what computes; without it they would fail after it has started.
    if missing := [name for name in EMULATOR_NEEDS if find_spec(name) is None]:
        print(
            f"The emulator needs {', '.join(missing)}. Install its extra: "
            "pip install 'prefect-qsession[emulator]'",
            file=sys.stderr,
        )
        return 1
    from prefect_qsession.emulator import parse_fault, serve  # noqa: PLC0415 - an extra

    watch = LiveView()
    try:
        faults = [parse_fault(line) for line in options.faults]

        def welcome(emulator: "Emulator") -> None:
            for fault in faults:
                emulator.faults.add(fault)
            _print_environment(emulator)
            watch.start(emulator)

        settings = _emulator_settings(options)
        serve(settings, host=options.host, port=options.port, on_ready=welcome)
    except (OSError, ValueError) as error:
        print(f"The emulator could not start: {error}", file=sys.stderr)
        return 1
    finally:
        watch.stop()
    return 0


def _emulator_settings(options: argparse.Namespace) -> "EmulatorSettings":
    from prefect_qsession.emulator import (  # noqa: PLC0415 - an extra
        EmulatorSettings,
        InstanceSettings,
        QueueSettings,
        TimingSettings,
    )

    instance = InstanceSettings(plan=options.plan)
    if api_key := os.environ.get(API_KEY_VARIABLE):
        instance = replace(instance, api_keys=(api_key,))
    return EmulatorSettings(
        instances=(instance,),
        queue=QueueSettings(
            options.jobs_ahead,
            options.seconds_ahead,
            options.arrivals_per_hour,
            options.arrival_seconds,
            options.jobs_at_start,
        ),
        timing=TimingSettings(fixed_seconds=options.job_seconds),
        execution_lanes=options.execution_lanes,
        noise=options.noise,
        time_scale=options.time_scale,
        control=options.control,
    )


def _print_environment(emulator: "Emulator") -> None:
    devices = ", ".join(device.name for device in emulator.settings.devices)
    print(f"# The Runtime service, emulated at {emulator.url}, with {devices}.")
    print("# Paste these lines into another terminal; QiskitRuntimeService() then needs nothing.")
    environment = emulator.environment()
    if environment["QISKIT_IBM_TOKEN"] == os.environ.get(API_KEY_VARIABLE):
        del environment["QISKIT_IBM_TOKEN"]
        print(f'export QISKIT_IBM_TOKEN="${API_KEY_VARIABLE}"')
    for name, value in environment.items():
        print(f"export {name}='{value}'")
    if emulator.settings.control:
        print("# What happens in it, to look at:", emulator.url)
        print("# The same for programs: curl", f"{emulator.url}/emulator/record")
    print("# Ctrl-C stops it.", flush=True)
