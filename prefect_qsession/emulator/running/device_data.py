"""
Where the devices' data come from: snapshots of real devices, `qiskit_ibm_runtime`'s fake backends.

The files are read as they are: the service's process imports no Qiskit, which keeps it small and
quick to start.
"""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prefect_qsession.emulator.rules.devices import Device, described_device
from prefect_qsession.emulator.settings import DeviceSettings


def load_device(settings: DeviceSettings) -> Device:
    """Read a device's data, or raise `ValueError` if there are none for its model."""
    return described_device(settings, *_model_data(settings.model))


@cache
def _model_data(model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    # find_spec on a top-level package locates it without running it.
    spec = find_spec("qiskit_ibm_runtime")
    if spec is None or not spec.submodule_search_locations:
        msg = "qiskit_ibm_runtime is not installed: its fake backends hold the devices' data"
        raise ValueError(msg)
    folder = Path(spec.submodule_search_locations[0], "fake_provider", "backends", model)
    try:
        configuration = json.loads((folder / f"conf_{model}.json").read_text())
        properties = json.loads((folder / f"props_{model}.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        msg = f"no device data for model {model!r} in {folder}"
        raise ValueError(msg) from error
    return configuration, properties
