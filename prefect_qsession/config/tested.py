"""The versions of others' packages that this one was tested with, where the newest may differ."""

from packaging.version import Version

NEWEST_TESTED_CLIENT = "0.51"
"""Of qiskit-ibm-runtime, whose primitives move from one minor version to the next."""


def is_newer(installed: str, tested: str) -> bool:
    """Whether an installed version comes after a tested one, and after all its patches."""
    return Version(installed).release[: len(Version(tested).release)] > Version(tested).release
