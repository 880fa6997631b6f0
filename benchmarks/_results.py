"""What all benchmarks do alike: read the command line, print what was measured, and keep it."""

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks._processes import answer_of

RESULTS = Path(__file__).parent / "results"
SHOWN = {"chaos": ("ways",), "iteration": ("points",)}
"""The details that a page of docs/ shows; no others are kept."""
PACKAGES = ("prefect", "qiskit", "qiskit-ibm-runtime", "qiskit-aer")
LOAD_AT_START = os.getloadavg()[0]

Options = argparse.Namespace
Measured = tuple[dict[str, Any], dict[str, Any]]
"""Figures, and details: every single run, so that the figures can be computed anew."""


def run(
    name: str,
    measure: Callable[[Options], Measured],
    *,
    quick: str | None = None,
    part: Callable[..., Any] | None = None,
    **more: tuple[bool | int | str, str],
) -> None:
    """
    Run a benchmark as its command line says; keep its figures if that is asked for, and print them.

    Args:
        name: Of the benchmark.
        measure: Does all of it.
        quick: What `--quick` is, if there is that.
        part: What a process of its own does, when `part_of` asks for it.
        **more: More options, each with its default and what it means.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    if quick is not None:
        parser.add_argument("--quick", action="store_true", help=quick)
    for option, (default, meaning) in more.items():
        of_its_kind: dict[str, Any] = {"type": type(default), "default": default}
        if default is False:
            of_its_kind = {"action": "store_true"}
        parser.add_argument(f"--{option.replace('_', '-')}", help=meaning, **of_its_kind)
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    kept_as = f"keep the figures as benchmarks/results/{name}.json"
    parser.add_argument("--keep", action="store_true", help=kept_as)
    parser.add_argument("--part", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if part is not None and options.part is not None:
        print(json.dumps(part(*options.part)))
        return
    figures, details = measure(options)
    measured = _where_and_when()
    if options.keep:
        kept = {"name": name, "figures": figures, "measured": measured} | _shown(name, details)
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    if options.json:
        details = details | {"measured": measured}
        print(json.dumps({"name": name, "figures": figures, "details": details}))
        return
    table = Table("figure", title=name)
    table.add_column("value", justify="right")
    for figure, value in figures.items():
        table.add_row(figure, "" if value is None else short(value))
    Console().print(table)


def part_of(name: str, *arguments: Any, environment: dict[str, str] | None = None) -> Any:
    """Have a process of its own do a benchmark's part, and return its answer."""
    asked = ("-m", f"benchmarks.{name}", "--part", json.dumps(arguments))
    return answer_of(*asked, environment=environment)


def short(value: float) -> str:
    """Write a figure with three digits that count, or whole where it has more."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - four digits


def _shown(name: str, details: dict[str, Any]) -> dict[str, Any]:
    return {"details": {each: details[each] for each in SHOWN[name]}} if name in SHOWN else {}


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
        "load_average_at_start": round(LOAD_AT_START, 2),
        "load_average_at_end": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _git(*arguments: str) -> str | None:
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=RESULTS, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
