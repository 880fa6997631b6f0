"""What a benchmark says last: one JSON object, or a table for people."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table


def tell(report: dict[str, Any], *, as_json: bool) -> None:
    """Print a report's figures as a table, or all of it as one line of JSON."""
    if as_json:
        print(json.dumps(report))
        return
    table = Table(title=report["name"])
    table.add_column("figure")
    table.add_column("value", justify="right")
    for figure, value in report["figures"].items():
        table.add_row(figure, "" if value is None else short(value))
    Console().print(table)


def short(value: float) -> str:
    """Write a figure with three digits that count, or whole where it has more."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - four digits
