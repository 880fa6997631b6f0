"""
The core tests on every supported version: `make compat`; `nox --list` shows each by itself.

A session installs the plugin as users do, without the lock: the newest of everything but what it
holds back. What it finds is read by `docs/compatibility.py`.
"""

import sys

import nox
from nox import Session

from docs.compatibility import NEWEST, PUBLIC_NAMES_ONLY, RESULTS, Combination

PYTHONS = ("3.11", "3.12", "3.13")
OLDEST_PREFECT = "3.8.8"
OLDEST_CLIENT = "0.50.0"
WITH_OLDEST_PREFECT = ("fastapi<0.151", "sqlalchemy<2.1")
"""Prefect 3.8.8 does not work with newer ones, and does not say so; 3.9.1 needs no bound."""

CORE = (
    "tests/emulator/test_primitives.py",
    "tests/integration/test_failed_jobs.py",
    "tests/integration/test_modes.py",
    "tests/integration/test_outcomes.py",
    "tests/integration/test_packing.py",
    "tests/integration/test_primitives.py",
    "tests/integration/test_reattachment.py",
    "tests/integration/test_session_options.py",
    "tests/integration/test_task_runner.py",
    "tests/unit/test_client_internals.py",
    "tests/unit/test_modes.py",
    "tests/unit/test_packing.py",
)
VERSIONS = """
from importlib.metadata import version
from platform import python_version

names = ("prefect", "qiskit-ibm-runtime", "qiskit")
print("python", python_version(), *(f"{name} {version(name)}" for name in names))
"""

nox.options.default_venv_backend = "uv|venv"
# Those that are installed; with pyenv, what PYENV_VERSION names.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"


@nox.session(python=PYTHONS)
@nox.parametrize("client", [OLDEST_CLIENT, NEWEST, PUBLIC_NAMES_ONLY])
@nox.parametrize("prefect", [OLDEST_PREFECT, NEWEST])
def core(session: Session, prefect: str, client: str) -> None:
    """Run the core tests with one Prefect and one client of IBM's."""
    held_back = []
    if prefect != NEWEST:
        held_back += [f"prefect=={prefect}", *WITH_OLDEST_PREFECT]
    if client == OLDEST_CLIENT:
        held_back.append(f"qiskit-ibm-runtime=={client}")
    # pytest as the lock has it, for the reason in pyproject.toml.
    session.install(".[emulator]", "hypothesis", "pytest<9.2", "pytest-xdist", *held_back)
    versions = str(session.run("python", "-c", VERSIONS, silent=True)).strip()
    results = Combination(str(session.python), prefect, client).results
    results.unlink(missing_ok=True)
    session.run(
        *("python", "-m", "pytest", "--numprocesses=2", "--dist=loadgroup", "-m", "not slow"),
        *(f"--junitxml={results}", "--override-ini", f"junit_suite_name={versions}"),
        *CORE,
        env={"QSESSION_PUBLIC_NAMES_ONLY": "1"} if client == PUBLIC_NAMES_ONLY else {},
    )


@nox.session(python=False)
def table(session: Session) -> None:
    """Print what was found, and put it into docs/compatibility.md."""
    session.run(sys.executable, "-m", "docs.compatibility", str(RESULTS), external=True)
