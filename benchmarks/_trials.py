"""Trials of a benchmark, several at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

T = TypeVar("T")


def in_lanes(lanes: int, trials: Sequence[Callable[[], T]]) -> Iterator[T]:
    """Run the trials, so many at once, show how far they are, and yield what each returns."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        ThreadPoolExecutor(lanes) as pool,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        running = [pool.submit(trial) for trial in trials]
        for done in progress.track(as_completed(running), total=len(running)):
            yield done.result()
