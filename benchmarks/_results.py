"""What a benchmark prints and keeps: its figures, every run, and where they were measured."""

import argparse
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks._tables import tell

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("prefect", "qiskit", "qiskit-ibm-runtime", "qiskit-aer")


def parser(name: str, quick: str | None = None) -> argparse.ArgumentParser:
    """Return the options that benchmarks share; *quick* says what `--quick` leaves out, if any."""
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    if quick is not None:
        options.add_argument("--quick", action="store_true", help=quick)
    options.add_argument("--json", action="store_true", help="print one JSON object last")
    options.add_argument(
        "--keep", action="store_true", help=f"keep the report as benchmarks/results/{name}.json"
    )
    return options


def finish(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Add where it was measured to a report, keep it if that is asked for, and print it last."""
    report["details"]["measured"] = _where_and_when()
    if options.keep:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{report['name']}.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
    tell(report, as_json=options.json)


def _where_and_when() -> dict[str, Any]:
    """Describe this machine, what runs on it, and the commit that is measured."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average_at_end": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _git(*arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", *arguments],  # noqa: S607 - the one that the user has
            cwd=RESULTS.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
