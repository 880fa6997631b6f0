"""The versions of what is installed here."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from prefect_qsession.doctor.findings import Finding, judge_version, ok

ALWAYS_TOLD = ("prefect", "qiskit", "qiskit-ibm-runtime")
"""What a report of a fault is of no use without."""


def check_versions() -> Iterator[Finding]:
    """Compare what is installed with what this package itself declares to need."""
    yield ok("Python", f"{platform.python_version()} ({sys.executable})")
    yield ok("prefect-qsession", version("prefect-qsession"))
    for requirement in map(Requirement, requires("prefect-qsession") or ()):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        finding = judge_version(requirement, _installed(requirement.name))
        if requirement.name in ALWAYS_TOLD or finding.advice:
            yield finding


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
