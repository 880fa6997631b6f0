"""
A service that takes no time: the emulator, whose first job is computed and whose others are copies.

    python -m benchmarks._instant PORT

Everything goes on to the emulator on that port, until a first job is over. From then on each
submission is accepted, over at once, and has that job's result: so that what a loop costs is its
own and not that of simulating circuits. Prints its own port.
"""

import json
import socket
import sys
from itertools import count

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PASSED_ON = ("authorization", "content-type", "service-crn", "ibm-api-version")


class Instant:
    """Answer in the emulator's place, from the second job on."""

    def __init__(self, port: int) -> None:
        self._emulator = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._numbers = count(1)
        self._submission: dict[str, object] = {}
        self._job: dict[str, object] = {}
        self._result: bytes | None = None

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        *_, collection, last = ["", *request.url.path.split("/")]
        is_copied = self._result is not None
        if request.method == "POST" and last == "jobs" and is_copied:
            return _json({**self._submission, "id": f"copy{next(self._numbers):016d}"})
        if collection == "jobs" and last.startswith("copy"):
            return _json({**self._job, "id": last})
        if last == "results" and collection.startswith("copy"):
            return Response(self._result, media_type="application/json")
        return await self._pass_on(request, collection, last)

    async def _pass_on(self, request: Request, collection: str, last: str) -> Response:
        headers = {name: value for name, value in request.headers.items() if name in PASSED_ON}
        reply = await self._emulator.request(
            request.method,
            request.url.path,
            params=request.query_params,
            headers=headers,
            content=await request.body(),
        )
        if request.method == "POST" and last == "jobs":
            self._submission = reply.json()
        elif collection == "jobs" and reply.is_success:
            self._job = reply.json()
        elif last == "results" and reply.status_code == httpx.codes.OK:
            self._result = reply.content
        kind = reply.headers.get("content-type")
        return Response(reply.content, reply.status_code, media_type=kind)


def _json(document: dict[str, object]) -> Response:
    return Response(json.dumps(document), media_type="application/json")


def main() -> None:
    """Serve until it is told to end."""
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    route = Route("/{path:path}", Instant(int(sys.argv[1])).answer, methods=methods)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(Starlette(routes=[route]), log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
