"""What can go wrong when the service is asked to release a session."""

from prefect_qsession.emulator import Answer, Delay, Drop, Emulator, Fault

FOR_EVER = 1e6
"""Longer than anything lasts."""
LATE_SECONDS = 3.0

FAULTS: dict[str, tuple[Answer | Delay | Drop, int | None]] = {
    "errors": (Answer(503), 3),
    "a lost request": (Drop(), 1),
    "a lost reply": (Drop(after_work=True), 1),
    "a late reply": (Delay(LATE_SECONDS), 1),
    "no answer": (Delay(FOR_EVER), 1),
    "an outage": (Answer(503), None),
}
"""What happens to a release, and to how many of them: to all, if None."""


def break_releases(emulator: Emulator, how: str) -> None:
    """Have so many requests that would close a session, and as many that would cancel, fail so."""
    effect, count = FAULTS[how]
    emulator.faults.add(Fault("/sessions/{id}", effect, method="PATCH", count=count))
    emulator.faults.add(Fault("/sessions/{id}/close", effect, method="DELETE", count=count))
