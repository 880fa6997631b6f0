"""`qsession doctor`: what stands in the way of a session flow, and what to do about it."""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from prefect_qsession.doctor import Finding

MARKS = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "problem": ("PROBLEM", "bold red"),
    "skipped": ("-", "dim"),
}
"""How each standing is shown: by its word, and beside it by its colour."""
WIDTH_OF_A_FILE = 100


def add_doctor_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    doctor = commands.add_parser(
        "doctor",
        help="what stands in the way of a session flow, and what to do",
        description="Look at versions, the Prefect API, the credentials block, the account, its "
        "plan, the backend, the clock and the reaper. Opens nothing and changes nothing. Exit "
        "status 1 if session flows fail as things are; a warning alone is no failure.",
    )
    doctor.add_argument(
        "block",
        nargs="?",
        metavar="BLOCK",
        help="credentials block (that of the settings, or the only one that is saved)",
    )
    doctor.add_argument("--backend", metavar="NAME", help="backend (that of the settings)")
    doctor.add_argument("--json", action="store_true", help="print JSON, for programs")
    doctor.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from prefect_qsession.doctor import CheckStanding, diagnose  # noqa: PLC0415 - slow to import

    findings = list(diagnose(options.block, options.backend))
    count = Counter(finding.standing for finding in findings)
    if options.json:
        counted = {standing.value: count[standing] for standing in CheckStanding}
        print(json.dumps({"findings": [asdict(each) for each in findings], **counted}, indent=2))
    else:
        console = Console()
        print_findings(findings, console if console.is_terminal else Console(width=WIDTH_OF_A_FILE))
    return int(count[CheckStanding.PROBLEM] > 0)


def print_findings(findings: "Sequence[Finding]", console: Console) -> None:
    """Print a line for each, what to do below it, and what it comes to."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("CHECK", no_wrap=True)
    table.add_column("IS", no_wrap=True)
    table.add_column("FOUND, AND WHAT TO DO", overflow="fold")
    for finding in findings:
        mark, style = MARKS[finding.standing]
        said = Text(finding.found, "dim" if finding.standing == "skipped" else "")
        if finding.advice:
            said.append(f"\n{finding.advice}", "cyan")
        table.add_row(finding.check, Text(mark, style), said)
    console.print(table)
    console.print()
    console.print(_sum(Counter(finding.standing.value for finding in findings)))


def _sum(count: Counter[str]) -> Text:
    if count["problem"]:
        return Text(f"{_counted(count['problem'], 'problem')} to mend first.", "bold red")
    if count["warning"]:
        return Text(f"Session flows run; {_counted(count['warning'], 'warning')}.", "bold yellow")
    return Text("Session flows run, and are watched over.", "bold green")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
