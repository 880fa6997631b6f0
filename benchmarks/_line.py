"""
A line to a server that is far away: what goes through it arrives later, and is counted.

    python -m benchmarks._line PORT ROUND_TRIP_SECONDS

Each direction takes half of a round trip; a new connection takes a whole one before its first byte,
as TCP's greeting does. Prints its own port, and the port that tells the number of requests so far.
A request begins when the client speaks after the server has: HTTP/1.1 without pipelining.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

CHUNK = 2**16


class Line:
    """One line; serves until its task is cancelled."""

    def __init__(self, port: int, round_trip_seconds: float) -> None:
        self._port = port
        self._round_trip_seconds = round_trip_seconds
        self.requests = 0

    async def serve(self) -> None:
        """Listen on two free ports, print them, and carry what comes."""
        line = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        teller = await asyncio.start_server(self._tell, "127.0.0.1", 0)
        print(*(each.sockets[0].getsockname()[1] for each in (line, teller)), flush=True)
        async with line, teller:
            await asyncio.gather(line.serve_forever(), teller.serve_forever())

    async def _carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        one_way = self._round_trip_seconds / 2
        is_clients_turn = True

        def client_speaks() -> None:
            nonlocal is_clients_turn
            self.requests += is_clients_turn
            is_clients_turn = False

        def server_speaks() -> None:
            nonlocal is_clients_turn
            is_clients_turn = True

        greeted_at = asyncio.get_running_loop().time() + self._round_trip_seconds
        await asyncio.gather(
            _pump(client, to_server, one_way, greeted_at, client_speaks),
            _pump(server, to_client, one_way, 0.0, server_speaks),
        )

    async def _tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{self.requests}\n".encode())
        await writer.drain()
        writer.close()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    seconds: float,
    not_before: float,
    told: Callable[[], None],
) -> None:
    """Carry bytes one way, each so many seconds after it came; then close that way."""
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while (item := await on_the_way.get())[1]:
            await asyncio.sleep(max(0.0, item[0] - loop.time()))
            writer.write(item[1])
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            told()
            on_the_way.put_nowait((max(loop.time(), not_before) + seconds, data))
    on_the_way.put_nowait((0.0, b""))
    with suppress(ConnectionError):
        await delivery
        writer.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(Line(int(sys.argv[1]), float(sys.argv[2])).serve())
