"""Draw the diagrams of the documentation from what the code says: `python -m docs.diagrams`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from docs.architecture import INTERPLAYS, holders, interplay
from docs.drawing import Drawing, Point
from prefect_qsession.states import FINAL, TRANSITIONS, SessionState

PICTURES = Path(__file__).parent / "pictures"

_S = SessionState

PLACES = {
    _S.UNOPENED: Point(80, 190),
    _S.OPENING: Point(280, 190),
    _S.OPEN: Point(460, 190),
    _S.LOST: Point(690, 190),
    _S.CLOSING: Point(540, 70),
    _S.CLOSED: Point(840, 70),
    _S.CANCELLING: Point(540, 320),
    _S.CANCELLED: Point(840, 320),
}
"""Where each state stands; the arrows are those of the table."""

BENDS = {
    (_S.UNOPENED, _S.OPENING): 14.0,
    (_S.OPENING, _S.UNOPENED): 14.0,
    (_S.UNOPENED, _S.CLOSED): 90.0,
    (_S.UNOPENED, _S.CANCELLED): -105.0,
    (_S.LOST, _S.OPENING): 34.0,
    (_S.CLOSING, _S.CANCELLING): 30.0,
}
"""Arrows that would run through something, and by how much they keep clear of it."""

WORDS_AT = {(_S.CLOSING, _S.CANCELLING): 0.25, (_S.OPEN, _S.LOST): 0.65}
"""Words that would stand on another arrow, and where on their own they stand instead."""


def session_states() -> str:
    """Return the states of a session as a drawing."""
    drawing = Drawing(920, 420, "The states of a session, and what leads from one to the next")
    arrows: dict[tuple[SessionState, SessionState], list[str]] = {}
    for (state, trigger), target in TRANSITIONS.items():
        arrows.setdefault((state, target), []).append(trigger)
    for (state, target), triggers in arrows.items():
        words = ", ".join(triggers)
        if state is target:
            drawing.loop(PLACES[state], words)
        else:
            bend, at = BENDS.get((state, target), 0.0), WORDS_AT.get((state, target), 0.5)
            drawing.arrow(PLACES[state], PLACES[target], words, bend, at)
    for state, place in PLACES.items():
        drawing.box(place, state, _kind(state))
    return drawing.svg()


def _kind(state: SessionState) -> str:
    if state is _S.OPEN:
        return "busy"
    if state not in FINAL:
        return "plain"
    return "good" if state is _S.CLOSED else "bad"


DIAGRAMS: dict[str, Callable[[], str]] = {
    "session_states": session_states,
    "who_holds_whom": holders,
    **{name: partial(interplay, drawn) for name, drawn in INTERPLAYS.items()},
}
"""The name of each file, and what draws it."""


if __name__ == "__main__":
    for name, draw in DIAGRAMS.items():
        (PICTURES / f"{name}.svg").write_text(draw())
