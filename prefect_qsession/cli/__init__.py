"""The `qsession` command: open sessions, what stands in the way of one, and the emulator."""

import argparse
import sys
from collections.abc import Sequence

from prefect_qsession.cli.doctor import add_doctor_command
from prefect_qsession.cli.emulator import add_emulator_commands
from prefect_qsession.cli.sessions import add_session_commands
from prefect_qsession.exceptions import QSessionError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit status: 1 for an error, 2 for a misuse."""
    options = command_line().parse_args(arguments)
    try:
        status: int = options.run(options)
    except QSessionError as error:
        print(error, file=sys.stderr)
        return 1
    return status


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the command line, which knows every command."""
    parser = argparse.ArgumentParser(
        prog="qsession", description="One IBM Quantum session per Prefect flow run."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_session_commands(commands)
    add_doctor_command(commands)
    add_emulator_commands(commands)
    return parser
