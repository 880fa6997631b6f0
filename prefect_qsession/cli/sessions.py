"""`qsession list | show | close | cancel | reap`: the open sessions, for people."""

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect_qsession.exceptions import UnknownSession
from prefect_qsession.states import Release

if TYPE_CHECKING:
    from prefect_qsession.cli.overview import OverviewEntry
    from prefect_qsession.release.releasing import Reaped

# Prefect takes a second to import and Qiskit two: each command imports what it needs.


def add_session_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands about open sessions."""
    listing = commands.add_parser(
        "list",
        help="the sessions that are open, whose, and what they have used",
        description="Show every session in the ledger of this Prefect API.",
    )
    listing.add_argument(
        "--no-usage",
        action="store_true",
        help="do not ask the Runtime service; needs no credentials, and takes a second",
    )
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="all that is known of one open session")
    show.set_defaults(run=_show)
    close = commands.add_parser(
        "close", help="let a session take no new jobs, and finish those it has"
    )
    close.set_defaults(run=_release, outcome=Release.CLOSE)
    cancel = commands.add_parser(
        "cancel", help="let a session take no new jobs, and drop those that have not started"
    )
    cancel.set_defaults(run=_release, outcome=Release.CANCEL)
    for command in (show, close, cancel):
        command.add_argument(
            "session_id", metavar="SESSION", help="id, as `qsession list` shows it"
        )
    reap = commands.add_parser(
        "reap",
        help="release the sessions that nobody else will release",
        description="Release every session whose flow run is over, or whose process is gone. A "
        "session that may still be in use is left alone.",
    )
    reap.add_argument(
        "--patience",
        type=float,
        metavar="SECONDS",
        help="how long a heartbeat from another machine must be missing; waited for only if it "
        "decides (two and a half heartbeats)",
    )
    reap.set_defaults(run=_reap)
    for command in (listing, show, close, cancel, reap):
        command.add_argument("--json", action="store_true", help="print JSON, for programs")


def _list(options: argparse.Namespace) -> int:
    from prefect_qsession.cli.overview import open_sessions, print_table  # noqa: PLC0415

    found = open_sessions(with_service=not options.no_usage)
    if options.json:
        _print_json([session.as_dict() for session in found])
    elif found:
        print_table(found, now=datetime.now(UTC))
    else:
        print("No session is open.")
    _print_problems(found)
    return 0


def _show(options: argparse.Namespace) -> int:
    from prefect_qsession.cli.overview import open_sessions, print_details  # noqa: PLC0415

    found = open_sessions(options.session_id)
    if not found:
        raise UnknownSession(options.session_id)
    if options.json:
        _print_json(found[0].as_dict())
    else:
        print_details(found[0], now=datetime.now(UTC))
    _print_problems(found)
    return 0


def _print_problems(sessions: "list[OverviewEntry]") -> None:
    for problem in dict.fromkeys(session.problem for session in sessions if session.problem):
        print(problem, file=sys.stderr)


def _release(options: argparse.Namespace) -> int:
    from prefect_qsession.reaper import release_recorded  # noqa: PLC0415
    from prefect_qsession.release.ledger import PrefectLedger  # noqa: PLC0415

    entry = PrefectLedger().find(options.session_id)
    if entry is None:
        raise UnknownSession(options.session_id)
    return _report(release_recorded([entry], options.outcome), as_json=options.json)


def _reap(options: argparse.Namespace) -> int:
    from prefect_qsession.reaper import reap_sessions  # noqa: PLC0415

    return _report(reap_sessions(patience_seconds=options.patience), as_json=options.json)


def _report(reaped: "list[Reaped]", *, as_json: bool) -> int:
    """Print what came of each session; fail if one may be open although it should not be."""
    if as_json:
        _print_json(
            [
                {
                    "session_id": item.entry.session_id,
                    "flow_run_id": str(item.entry.flow_run_id),
                    "outcome": item.outcome,
                    "result": item.result,
                    "reason": item.reason,
                }
                for item in reaped
            ]
        )
    else:
        print("\n".join(map(str, reaped)) or "No session was left open.")
    return int(any(item.wants_attention for item in reaped))


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))
