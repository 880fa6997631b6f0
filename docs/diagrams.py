"""Draw the diagrams of the documentation from the tables in the code: `python -m docs.diagrams`."""

import re
from pathlib import Path

from prefect_qsession.states import FINAL, TRANSITIONS, SessionState

LIFECYCLE = Path(__file__).parent / "lifecycle.md"
_DIAGRAM = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.DOTALL)


def session_states() -> str:
    """Return the states of a session as a mermaid diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {SessionState.UNOPENED}"]
    lines += [
        f"    {state} --> {target}: {event}" for (state, event), target in TRANSITIONS.items()
    ]
    lines += [f"    {state} --> [*]" for state in sorted(FINAL)]
    return "\n".join(lines) + "\n"


def with_diagram(page: str) -> str:
    """Return the page with its diagram drawn anew."""
    return _DIAGRAM.sub(lambda _: session_states(), page)


if __name__ == "__main__":
    LIFECYCLE.write_text(with_diagram(LIFECYCLE.read_text()))
