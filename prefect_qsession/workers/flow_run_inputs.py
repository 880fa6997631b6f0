"""
Questions and events of workers to the flow's process, and its replies, by way of the Prefect API.

They are inputs of the flow run: the one place that a worker, the flow's process and nobody's
firewall in between have in common. Prefect deletes what is left of them with the flow run.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain, repeat
from typing import Any
from uuid import UUID, uuid4

from httpx import HTTPError, HTTPStatusError, codes
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.logging.loggers import get_logger

from prefect_qsession import exceptions
from prefect_qsession.config.modes import Mode
from prefect_qsession.exceptions import OwnerSilent, QSessionError, SessionError, SessionNotOpen
from prefect_qsession.prefect_api.clients import short_timeout_client
from prefect_qsession.workers.context import JobDestination
from prefect_qsession.workers.event_serialization import TimedEvent, as_text, from_text

logger = get_logger("qsession.flow_run_inputs")

FOR_FLOW_PROCESS = "qsession-inbox-"
"""What the flow's process reads with one request."""
QUESTION = f"{FOR_FLOW_PROCESS}question-"
EVENTS = f"{FOR_FLOW_PROCESS}news-"
REPLY = "qsession-reply-"

PAUSES = (0.1, 0.1, 0.2, 0.2, 0.4)
"""Seconds before each look for the reply; the last one goes on."""

ASKED_AGAIN_AFTER = 15.0
"""Seconds after which a question that was taken is put again, to see whether anybody is there."""

SILENCE = 30.0
"""Seconds for which a question may lie there before the flow's process is taken for gone."""

MOST = 100
"""Inputs that are read at once."""


@dataclass(frozen=True)
class Question:
    """What a worker wants to know: which backend, or into which session."""

    key: str
    wants_session: bool
    instead_of: str | None = None
    """The session that the worker has found ended."""


Reply = JobDestination | str
"""The session, or the name of the backend where only that was asked for."""


def ask(
    flow_run_id: UUID,
    *,
    wants_session: bool,
    instead_of: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Reply:
    """
    Ask the flow's process, and wait for its reply as long as it shows signs of life.

    Raises:
        OwnerSilent: It shows none.
        SessionNotOpen: The flow run is over.
        QSessionError: Whatever opening the session raised there.
    """
    question = Question(uuid4().hex, wants_session, instead_of)
    heard_at, is_taken, failure = clock(), True, None
    with short_timeout_client() as client:
        for pause in chain((0.0,), PAUSES, repeat(PAUSES[-1])):
            sleep(pause)
            now = clock()
            try:
                if pause == 0.0 or (is_taken and now - heard_at > ASKED_AGAIN_AFTER):
                    _put(client, flow_run_id, QUESTION + question.key, json.dumps(asdict(question)))
                    is_taken = False
                if text := _take(client, flow_run_id, REPLY + question.key):
                    return _read_reply(text)
                if not is_taken and not _find(client, flow_run_id, QUESTION + question.key):
                    heard_at, is_taken = now, True
            except HTTPError as error:
                failure = error
            if now - heard_at > SILENCE:
                raise _nobody(client, flow_run_id, question, now - heard_at) from failure
    raise AssertionError("unreachable")


def send_events(
    client: SyncPrefectClient,
    flow_run_id: UUID,
    sender: str,
    number: int,
    events: Iterable[TimedEvent],
) -> None:
    """
    Send the flow's process what has happened; raises what Prefect's client raises.

    Args:
        client: Of Prefect.
        flow_run_id: The flow run.
        sender: A name that no other worker has.
        number: Of the batch: one sender's batches are read in this order.
        events: In their order.
    """
    _put(client, flow_run_id, f"{EVENTS}{sender}-{number:09}", as_text(events))


def take(
    client: SyncPrefectClient, flow_run_id: UUID, taken: set[str]
) -> Iterator[Question | TimedEvent]:
    """
    Take all that workers have sent: questions first, events in the order in which they happened.

    Raises what Prefect's client raises. What was used by then is not yielded again; what was not,
    is: a letter counts as read when the caller asks for the next thing.

    Args:
        client: Of Prefect.
        flow_run_id: The flow run.
        taken: The keys of what was used and may still lie there; kept by the caller.
    """
    while True:
        found = client.filter_flow_run_input(flow_run_id, FOR_FLOW_PROCESS, MOST, set())
        # One worker's batches in their order: not all of its events have times of their own.
        inputs = {one.key: str(one.value) for one in sorted(found, key=lambda it: it.key)}
        new = {key: text for key, text in inputs.items() if key not in taken}
        for key, text in new.items():
            if key.startswith(QUESTION):
                if question := _read_question(text):
                    yield question
                taken.add(key)
        batches = (_read(text) for key, text in new.items() if key.startswith(EVENTS))
        yield from sorted(chain.from_iterable(batches), key=lambda timed: timed.at)
        taken |= new.keys()
        for key in inputs:
            _delete(client, flow_run_id, key)
            taken.discard(key)
        if len(inputs) < MOST:
            return


def _read_question(text: str) -> Question | None:
    try:
        return Question(**json.loads(text))
    except (ValueError, TypeError) as error:
        logger.debug("A worker's question cannot be read: %s", error)
        return None


def _read(batch: str) -> list[TimedEvent]:
    try:
        return list(from_text(batch))
    except ValueError as error:
        logger.debug("A batch of a worker's events cannot be read: %s", error)
        return []


def reply(
    client: SyncPrefectClient, flow_run_id: UUID, question: Question, answer: Reply | QSessionError
) -> None:
    """Put the reply to a question; raises what Prefect's client raises."""
    _put(client, flow_run_id, REPLY + question.key, _reply_text(answer))


def _reply_text(answer: Reply | QSessionError) -> str:
    if isinstance(answer, JobDestination):
        return json.dumps({"session": asdict(answer)})
    if isinstance(answer, str):
        return json.dumps({"backend": answer})
    said = {"kind": type(answer).__name__, "args": answer.args, "attributes": vars(answer)}
    return json.dumps({"error": said}, default=str)


def _read_reply(text: str) -> Reply:
    said: dict[str, Any] = json.loads(text)
    if session := said.get("session"):
        return JobDestination(**{**session, "mode": Mode(session["mode"])})
    if error := said.get("error"):
        raise _error(**error)
    return str(said["backend"])


def _error(kind: str, args: list[Any], attributes: dict[str, Any]) -> QSessionError:
    """Make the error that was raised in the flow's process anew."""
    found = getattr(exceptions, kind, SessionError)
    if not (isinstance(found, type) and issubclass(found, QSessionError)):
        found = SessionError
    return exceptions.restored(found, tuple(args), attributes)


def _nobody(
    client: SyncPrefectClient, flow_run_id: UUID, question: Question, seconds: float
) -> SessionError:
    """Name what it means that nobody took the question, and take it back."""
    with suppress(HTTPError, ObjectNotFound):
        # This one alone: another worker whose question is gone takes it for read, and waits anew.
        _delete(client, flow_run_id, QUESTION + question.key)
        state = client.read_flow_run(flow_run_id).state
        if state is not None and state.is_final():
            return SessionNotOpen(None, "released")
    return OwnerSilent(flow_run_id, seconds)


def _put(client: SyncPrefectClient, flow_run_id: UUID, key: str, text: str) -> None:
    with _already(codes.CONFLICT):
        client.create_flow_run_input(flow_run_id, key, text)


def _find(client: SyncPrefectClient, flow_run_id: UUID, key: str) -> str | None:
    found = client.filter_flow_run_input(flow_run_id, key, 1, set())
    return str(found[0].value) if found else None


def _take(client: SyncPrefectClient, flow_run_id: UUID, key: str) -> str | None:
    text = _find(client, flow_run_id, key)
    if text is not None:
        _delete(client, flow_run_id, key)
    return text


def _delete(client: SyncPrefectClient, flow_run_id: UUID, key: str) -> None:
    with _already(codes.NOT_FOUND):
        client.delete_flow_run_input(flow_run_id, key)


@contextmanager
def _already(status: int) -> Iterator[None]:
    """Let pass that it is as wanted: of a repeated request the first answer was lost."""
    try:
        yield
    except HTTPStatusError as error:
        if error.response.status_code != status:
            raise
