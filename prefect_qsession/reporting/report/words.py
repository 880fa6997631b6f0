"""Numbers and times as people read them."""


def duration(seconds: float) -> str:
    """Return a length of time, as exact as one cares: 0.4 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 10:  # noqa: PLR2004 - from here on, tenths do not matter
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{whole} s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"


def count(number: int, noun: str) -> str:
    """Return so many of something."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def plain(text: str) -> str:
    """Return text that says the same in a cell of a markdown table."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
