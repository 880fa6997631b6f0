"""`qsession emulator faults`: what goes wrong in an emulator that runs."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

import requests
from pydantic import TypeAdapter

# Bringing a reply from this machine takes no longer, unless nobody is there.
_PATIENCE_SECONDS = 10
_STATUSES = ("online", "paused", "offline")


def add_fault_command(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command that shows, adds and clears the faults of a running emulator."""
    faults = actions.add_parser(
        "faults",
        help="show, add or clear what goes wrong in a running one",
        description="Show the faults of a running emulator, and how often each has struck.",
    )
    faults.add_argument(
        "--url",
        default=os.environ.get("IAM_URL"),
        help="the emulator's address; IAM_URL of the lines it printed if left out",
    )
    faults.add_argument("--clear", action="store_true", help="first take all faults away")
    faults.add_argument(
        "--add",
        action="append",
        default=[],
        metavar="FAULT",
        help="then add one, such as 'POST /jobs drop after_work count=1'; may be repeated",
    )
    faults.add_argument(
        "--device",
        action="append",
        default=[],
        dest="devices",
        metavar="NAME=STATUS",
        help="then take a device into maintenance (paused), out of service (offline), or back "
        "(online); may be repeated",
    )
    faults.set_defaults(run=_faults)


def _faults(options: argparse.Namespace) -> int:
    from prefect_qsession.emulator import parse_fault  # noqa: PLC0415 - an extra

    if options.url is None:
        print("Which emulator? Name its address with --url.", file=sys.stderr)
        return 2
    control = options.url.rstrip("/") + "/emulator"
    address = f"{control}/faults"
    try:
        # All are read before anything is changed.
        wanted = [asdict(parse_fault(line)) for line in options.add]
        statuses = [_device_status(words) for words in options.devices]
        if options.clear:
            _ask("DELETE", address)
        for fault in wanted:
            _ask("POST", address, fault)
        for name, status in statuses:
            _ask("PUT", f"{control}/devices/{quote(name, safe='')}", {"status": status})
        standing = _ask("GET", address).json()["faults"]
        devices = _ask("GET", f"{control}/overview").json()["devices"]
    except requests.RequestException as error:
        print(f"The faults of {options.url} could not be reached: {error}", file=sys.stderr)
        print("Is an emulator running there, without --no-control?", file=sys.stderr)
        return 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    _print_faults(standing, {it["name"]: it["status"] for it in devices})
    return 0


def _device_status(words: str) -> tuple[str, str]:
    name, _, status = words.partition("=")
    if status not in _STATUSES:
        msg = f"{words!r} is no NAME=STATUS with {', '.join(_STATUSES)}"
        raise ValueError(msg)
    return name, status


def _ask(method: str, address: str, body: dict[str, Any] | None = None) -> requests.Response:
    with requests.Session() as session:
        # It is on this machine, as a rule, where no proxy can reach it.
        session.trust_env = False
        if key := os.environ.get("QISKIT_IBM_TOKEN"):
            # Asked for by one that is open to the network.
            session.headers["Authorization"] = f"apikey {key}"
        answer = session.request(method, address, json=body, timeout=_PATIENCE_SECONDS)
    answer.raise_for_status()
    return answer


def _print_faults(standing: list[dict[str, Any]], devices: dict[str, str]) -> None:
    from prefect_qsession.emulator import Fault, fault_line  # noqa: PLC0415 - an extra

    unwell = {name: status for name, status in devices.items() if status != "online"}
    for name, status in unwell.items():
        print(f"{name} is {status}")
    if not standing and not unwell:
        print("Nothing goes wrong here.")
    for entry in standing:
        struck = entry.pop("struck")
        del entry["added"]
        fault = TypeAdapter(Fault).validate_json(json.dumps(entry))
        print(f"{fault_line(fault)}  (struck {struck} times)")
