"""The devices: what the service tells about a QPU."""

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prefect_qsession.emulator.settings import DeviceSettings, DeviceStatus

# Instructions that act on any qubit and are listed without a coupling map.
_UNCOUPLED = ("measure", "reset", "delay", "barrier", "if_else", "for_loop", "switch_case", "box")


@dataclass(frozen=True)
class Device:
    """
    A QPU as its documents describe it.

    *configuration* and *properties* are JSON texts, ready to send; *facts* is what a simulator must
    know to tell whether a circuit fits.
    """

    name: str
    status: DeviceStatus
    num_qubits: int
    version: str
    processor: dict[str, str]
    clops: int | None
    configuration: str
    properties: str
    facts: str
    updated: datetime
    is_mock: bool = False


def described_device(
    settings: DeviceSettings, configuration: dict[str, Any], properties: dict[str, Any]
) -> Device:
    """Return a device that has the data of its model."""
    configuration = configuration | {"backend_name": settings.name}
    properties = properties | {"backend_name": settings.name}
    processor = configuration.get("processor_type", {})
    clops = configuration.get("clops_h") or configuration.get("clops")
    return Device(
        name=settings.name,
        status=settings.status,
        num_qubits=configuration["n_qubits"],
        version=configuration["backend_version"],
        processor={
            "family": str(processor.get("family", "Unknown")),
            "revision": str(processor.get("revision", "1")),
        },
        clops=clops if isinstance(clops, int) else None,
        configuration=json.dumps(configuration, separators=(",", ":")),
        properties=json.dumps(properties, separators=(",", ":")),
        facts=json.dumps(_facts(configuration), separators=(",", ":")),
        updated=datetime.fromisoformat(properties["last_update_date"]),
    )


def mock_of(device: Device) -> Device:
    """Return the device on which the service tries jobs for nothing (`dry_run`)."""
    name = mock_name(device.name)
    before, after = (f'"backend_name":{json.dumps(each)}' for each in (device.name, name))
    return replace(
        device,
        name=name,
        status="online",
        configuration=device.configuration.replace(before, after),
        properties=device.properties.replace(before, after),
        is_mock=True,
    )


def mock_name(name: str) -> str:
    """Return what the client makes of a device's name to find its mock."""
    return re.sub(r"^[^_]+", "mock", name)


def _facts(configuration: dict[str, Any]) -> dict[str, Any]:
    instructions: dict[str, list[list[int]] | None] = dict.fromkeys(_UNCOUPLED)
    for gate in configuration["gates"]:
        instructions[gate["name"]] = gate.get("coupling_map")
    return {"num_qubits": configuration["n_qubits"], "instructions": instructions}
