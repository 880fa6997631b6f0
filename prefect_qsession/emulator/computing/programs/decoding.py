"""
Reading what clients send.

Nothing here imports, evaluates or unpickles what came over the wire: circuits are QPY (of a version
that holds no foreign expressions), arrays are `.npy` without objects, and every other tagged value
is refused.
"""

import base64
import io
import json
import zlib
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qpy

from prefect_qsession.emulator.computing.programs.failures import JobFailure, not_loadable

MAX_EXPANDED_BYTES = 2**30
OLDEST_QPY_VERSION = 13


def parameters_of(body: bytes) -> dict[str, Any]:
    """Return a job's parameters as plain data, their tagged values untouched."""
    try:
        params = json.loads(body)["params"]
    except (ValueError, KeyError, TypeError) as error:
        raise not_loadable(str(error)) from error
    if not isinstance(params, dict):
        why = "params is not an object"
        raise not_loadable(why)
    return params


def decode_tagged(value: Any) -> Any:
    """Replace the tagged values the sampler and the estimator take by what they stand for."""
    if isinstance(value, list):
        return [decode_tagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "__type__" not in value:
        return {key: decode_tagged(item) for key, item in value.items()}
    decode = {"QuantumCircuit": decode_circuit, "ndarray": _decode_array}.get(
        str(value["__type__"])
    )
    if decode is None:
        why = f"values of type {value['__type__']!r} are not taken"
        raise not_loadable(why)
    return decode(value.get("__value__"))


def decode_circuit(text: Any) -> QuantumCircuit:
    """Read the one circuit of a QPY text."""
    circuits = load_circuits(expand(text))
    if len(circuits) != 1:
        why = f"expected one circuit, got {len(circuits)}"
        raise not_loadable(why)
    return circuits[0]


def load_circuits(data: bytes) -> list[QuantumCircuit]:
    """Read circuits in QPY."""
    try:
        check_qpy_version(qpy.get_qpy_version(io.BytesIO(data)))
        circuits = qpy.load(io.BytesIO(data))
    except (MemoryError, JobFailure):
        raise
    except Exception as error:  # QPY raises whatever its parts raise
        raise not_loadable(f"not QPY ({error})") from error
    if not all(isinstance(circuit, QuantumCircuit) for circuit in circuits):
        why = "QPY holds something other than circuits"
        raise not_loadable(why)
    return list(circuits)


def check_qpy_version(version: int) -> None:
    """Refuse old QPY: it carries parameter expressions for other libraries to parse."""
    if version < OLDEST_QPY_VERSION:
        raise not_loadable(f"QPY version {version} is older than {OLDEST_QPY_VERSION}")


def _decode_array(text: Any) -> np.ndarray:
    if isinstance(text, (int, list)):
        array = np.array(text)
    else:
        try:
            array = np.load(io.BytesIO(expand(text)), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise not_loadable(f"not an array ({error})") from error
    if array.dtype.kind not in "biuf":
        why = f"arrays of {array.dtype} are not taken"
        raise not_loadable(why)
    return array


def expand(text: Any) -> bytes:
    """Undo base64 and zlib, up to a size no honest payload reaches."""
    if not isinstance(text, str):
        why = f"expected text, got {type(text).__name__}"
        raise not_loadable(why)
    try:
        compressed = base64.b64decode(text, validate=True)
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(compressed, MAX_EXPANDED_BYTES)
    except (ValueError, zlib.error) as error:
        raise not_loadable(f"not compressed data ({error})") from error
    if not unpacking.eof:
        why = "compressed data is cut off, or too large"
        raise not_loadable(why)
    return data
