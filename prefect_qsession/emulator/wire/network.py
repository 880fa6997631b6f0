"""The network between clients and the service: it carries out what the faults decide."""

import asyncio
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prefect_qsession.emulator.faults.effects import Answer, Delay, Drop, FailJob, Stall
from prefect_qsession.emulator.faults.registry import Faults, Strike
from prefect_qsession.emulator.rules.errors import ServiceError
from prefect_qsession.emulator.running.running_service import RunningService
from prefect_qsession.emulator.wire.requests import INJECTED_FAILURE

Address = tuple[str, int]


class _ConnectionLost(Exception):
    """No reply goes out on this connection any more."""


class FaultyNetwork:
    """
    Bring requests to the service and its replies back, as far as the faults allow.

    *cut* ends the connection of a client's address at once.
    """

    def __init__(
        self, app: ASGIApp, faults: Faults, running: RunningService, cut: Callable[[Address], None]
    ) -> None:
        self._app = app
        self._faults = faults
        self._running = running
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or cut its connection."""
        if scope["type"] != "http" or not self._faults.standing:
            await self._app(scope, receive, send)
            return
        with self._faults.striking(scope["method"], scope["path"]) as strike:
            if strike is None:
                await self._app(scope, receive, send)
                return
            try:
                await self._answer_struck(strike, scope, receive, send)
            except _ConnectionLost:
                self._cut(scope["client"])
                # Until the server has noticed, it would answer in our place.
                while (await receive())["type"] != "http.disconnect":
                    pass

    async def _answer_struck(
        self, strike: Strike, scope: Scope, receive: Receive, send: Send
    ) -> None:
        # Read to its end first: the service has it then, even if its client leaves.
        request = await _arrival(receive)
        effect = strike.effect
        if isinstance(effect, FailJob):
            await self._app({**scope, INJECTED_FAILURE: effect.failure()}, request, send)
            return
        if isinstance(effect, Delay) and not effect.after_work:
            await self._hold_back(strike, effect.seconds)
        reply: list[Message] = []
        if isinstance(effect, Delay | Stall) or effect.after_work:
            await self._app(scope, request, _keeping(reply))
        match effect:
            case Drop():
                raise _ConnectionLost
            case Answer():
                await _error(effect)(scope, request, send)
            case Delay():
                if effect.after_work:
                    await self._hold_back(strike, effect.seconds)
                await _send_all(reply, send)
            case Stall():
                begun, rest = _halves(reply)
                await _send_all(begun, send)
                await self._hold_back(strike, effect.seconds)
                await _send_all(rest, send)

    async def _hold_back(self, strike: Strike, seconds: float | None) -> None:
        if seconds is not None:
            self._running.call_at(strike.at + seconds, strike.release)
        if not await asyncio.wrap_future(strike.released):
            raise _ConnectionLost


async def _arrival(receive: Receive) -> Receive:
    """Wait for the whole request, and return what gives it once more."""
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    messages.reverse()

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def _keeping(reply: list[Message]) -> Send:
    async def keep(message: Message) -> None:
        reply.append(message)

    return keep


async def _send_all(reply: list[Message], send: Send) -> None:
    for message in reply:
        await send(message)


def _halves(reply: list[Message]) -> tuple[list[Message], list[Message]]:
    """Part a reply in the middle of its body; all of one without a body is the second half."""
    start, *pieces = reply
    body = b"".join(piece.get("body", b"") for piece in pieces)
    if not body:
        return [], reply
    middle = len(body) // 2
    part: Message = {"type": "http.response.body", "body": body[:middle], "more_body": True}
    rest: Message = {"type": "http.response.body", "body": body[middle:], "more_body": False}
    return [start, part], [rest]


def _error(answer: Answer) -> Response:
    error = ServiceError(
        answer.status,
        answer.code,
        "The emulator was told to fail here.",
        "Clear its faults, or do what you would do if the service failed like this.",
    )
    seconds = answer.retry_after_seconds
    headers = None if seconds is None else {"Retry-After": str(seconds)}
    return Response(error.body(), answer.status, headers, "application/json")
