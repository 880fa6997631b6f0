"""The user's own numbers over the iterations, as many of them as a picture can show."""

import math
from dataclasses import dataclass, field

MOST_POINTS = 800
"""More than that a picture of this size cannot show; a run of 10,000 iterations is thinned out."""


@dataclass
class Series:
    """One number that changes from iteration to iteration."""

    points: list[tuple[float, float]] = field(default_factory=list)
    """Iteration and value."""
    count: int = 0

    def add(self, iteration: float | None, value: float) -> None:
        """Take in a value; one that is not finite has no place in a picture, and is left out."""
        self.count += 1
        if not math.isfinite(value):
            return
        self.points.append((self.count if iteration is None else iteration, value))
        if len(self.points) > MOST_POINTS:
            self.points = thinned(self.points)


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return half of the points: of every four, the lowest and the highest, in their order."""
    kept: list[tuple[float, float]] = []
    # The latest is what people look for: it is kept as it is.
    *body, last = points
    for start in range(0, len(body), 4):
        group = body[start : start + 4]
        extremes = {min(group, key=lambda it: it[1]), max(group, key=lambda it: it[1])}
        kept += [point for point in group if point in extremes]
    return [*kept, last]
