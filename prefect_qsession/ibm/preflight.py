"""
What the client asks before every job, asked once per session.

Before each submission the client reads how much the instance has used and how the backend stands,
to warn if a limit is reached or jobs are not run now. Both take a round trip in which the QPU
waits. In a session the first job's answers serve the jobs after it, for some minutes; asked at any
other time the service answers itself.
"""

import copy
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from requests import PreparedRequest, Response

FRESH_SECONDS = 300.0
"""How long an answer serves; a limit that is reached meanwhile is told by the service itself."""

_PREFLIGHT = re.compile(r"/(instances/usage|backends/[^/?]+/status)$")

_scope: ContextVar[str | None] = ContextVar("qsession_submitting", default=None)


@contextmanager
def submitting(session_id: str | None) -> Iterator[None]:
    """Say that what is asked inside is asked on the way to a submission."""
    token = _scope.set(session_id or "no session")
    try:
        yield
    finally:
        _scope.reset(token)


class Preflight:
    """Keep the latest answers of one instance; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[str, float, Response]] = {}

    def answer(self, request: PreparedRequest) -> Response | None:
        """Return the answer that is kept to a question; None if it has to be asked."""
        kept = self._kept.get(request.path_url) if request.method == "GET" else None
        if kept is None:
            return None
        scope, at, response = kept
        if scope != _scope.get() or self._clock() - at > FRESH_SECONDS:
            return None
        answer = copy.copy(response)
        answer.request = request
        return answer

    def keep(self, request: PreparedRequest, response: Response) -> None:
        """Keep an answer, if it is one that may be wanted again."""
        scope = _scope.get()
        is_question = request.method == "GET" and _PREFLIGHT.search(request.path_url)
        if scope is not None and is_question and response.ok:
            self._kept[request.path_url] = (scope, self._clock(), response)

    def __deepcopy__(self, _memo: object) -> "Preflight":
        """Return itself: a copy of a backend, with its client, is of the same instance."""
        return self
