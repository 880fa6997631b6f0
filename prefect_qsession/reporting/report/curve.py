"""A number over the iterations as a picture: the convergence curve."""

from prefect_qsession.reporting.report.series import Series
from prefect_qsession.reporting.report.svg import BLUE, LEFT, RIGHT, WIDTH, Picture, ticks

HEIGHT = 230
TOP, BOTTOM = 34, HEIGHT - 40
RIGHT_OF_LAST = 70
"""Room for the latest value, right of its point."""

MOST_DOTS = 120
"""With more, the line alone says it better."""


def curve(name: str, series: Series) -> Picture | None:
    """Return the picture of a series; None if it has no value yet."""
    if not series.points:
        return None
    xs, ys = zip(*series.points, strict=True)
    left, right = min(xs), max(*xs, min(xs) + 1)
    low, high = _range(min(ys), max(ys))
    width = WIDTH - LEFT - RIGHT - RIGHT_OF_LAST

    def place(iteration: float, value: float) -> tuple[float, float]:
        return (
            LEFT + width * (iteration - left) / (right - left),
            BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low),
        )

    picture = Picture(HEIGHT)
    picture.text(LEFT, 18, name, bold=True)
    for value in (marks := ticks(low, high)):
        _, y = place(left, value)
        picture.grid_line(LEFT, y, LEFT + width, y)
        picture.text(LEFT - 10, y + 4, _number(value, marks), "end")
    for iteration in ticks(left, right, most=8):
        if iteration == int(iteration):
            x, _ = place(iteration, low)
            picture.text(x, BOTTOM + 18, f"{iteration:.0f}", "middle")
    picture.text(LEFT + width, HEIGHT - 4, "iteration", "end")
    placed = [place(*point) for point in series.points]
    picture.line(placed, BLUE, 1.8)
    if len(placed) <= MOST_DOTS:
        for x, y in placed:
            picture.dot(x, y, 2.2, BLUE)
    x, y = placed[-1]
    picture.dot(x, y, 4, BLUE)
    picture.text(x + 9, y + 4, f"{ys[-1]:.6g}", bold=True)
    return picture


def _range(low: float, high: float) -> tuple[float, float]:
    """Return where the axis begins and ends, with some air; never nowhere."""
    air = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return low - air, high + air


def _number(value: float, marks: list[float]) -> str:
    """Return a number as exact as the marks of its axis are apart."""
    step = abs(marks[1] - marks[0]) if len(marks) > 1 else abs(value)
    if not 1e-4 <= step < 1e5:  # noqa: PLR2004 - beyond, zeros are no help
        return f"{value:.3g}"
    decimals = max(0, -int(f"{step:e}".partition("e")[2]))
    return f"{value:.{decimals}f}"
