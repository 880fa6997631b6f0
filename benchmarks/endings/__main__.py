"""
Run the matrix, and print what was measured as a table.

    python -m benchmarks.endings [WORD ...] [--json]

With words, only the rows whose names contain all of them.
"""

import argparse
import json
import sys
from concurrent.futures import as_completed
from dataclasses import asdict

from benchmarks.endings.lanes import Lanes
from benchmarks.endings.matrix import ROWS, Row
from benchmarks.endings.processes import heed_signals
from benchmarks.endings.table import HEAD, line
from benchmarks.endings.trial import Trial


def main() -> None:
    """Run the rows that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endings")
    parser.add_argument("words", nargs="*", help="only rows whose names contain all of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    options = parser.parse_args()
    heed_signals()
    rows = [row for row in ROWS if all(word in row.name for word in options.words)]
    trials: dict[Row, Trial] = {}
    with Lanes() as lanes:
        rows_by_future = {future: row for row, future in lanes.start(rows).items()}
        for future in as_completed(rows_by_future):
            row = rows_by_future[future]
            try:
                trials[row] = future.result()
            except Exception as failure:  # noqa: BLE001 - the other trials go on
                print(f"{row.name}: {failure!r}", file=sys.stderr)
            else:
                print(line(row, trials[row]), file=sys.stderr)
    in_order = [(row, trials[row]) for row in rows if row in trials]
    if options.json:
        for _, trial in in_order:
            print(json.dumps(asdict(trial)))
    else:
        print(*HEAD, *(line(row, trial) for row, trial in in_order), sep="\n")


if __name__ == "__main__":
    main()
