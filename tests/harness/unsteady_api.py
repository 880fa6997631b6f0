"""A way to a Prefect server that can become slow, or lead nowhere, while flow runs use it."""

import asyncio
import threading
from typing import Self

LOOPBACK = "127.0.0.1"
CHUNK = 65536


class UnsteadyAPI:
    """
    Stand between clients and a Prefect server on loopback, and pass on every byte, or not.

    Args:
        port: Where the server listens.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="unsteady-api")
        self._listening: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._is_gone = False
        self._delay_seconds = 0.0
        self.port = 0

    @property
    def url(self) -> str:
        """The address of the API, as clients are told it."""
        return f"http://{LOOPBACK}:{self.port}/api"

    def slow_down(self, seconds: float) -> None:
        """Keep everything that clients send for so long, from now on."""
        self._delay_seconds = seconds

    def go(self) -> None:
        """Cut every connection, and take none, until `come_back`."""
        self._is_gone = True
        self._loop.call_soon_threadsafe(self._cut)

    def come_back(self) -> None:
        """Be as the server is."""
        self._is_gone = False
        self._delay_seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._serve, LOOPBACK, 0)
        self._listening = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_exc_info: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
        self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_gone:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self._server_port)
        both = {writer, there_writer}
        self._open |= both
        try:
            await asyncio.gather(
                self._pass(reader, there_writer, is_asking=True),
                self._pass(there_reader, writer, is_asking=False),
            )
        except (OSError, asyncio.CancelledError):
            # Cut from one side, or from here.
            pass
        finally:
            self._open -= both
            self._cut_these(both)

    @staticmethod
    def _cut_these(writers: set[asyncio.StreamWriter]) -> None:
        for writer in writers:
            writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_asking: bool
    ) -> None:
        while chunk := await reader.read(CHUNK):
            if is_asking and self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)
            writer.write(chunk)
            await writer.drain()
        # Half of it is over: the other side is told, and may still answer.
        if writer.can_write_eof():
            writer.write_eof()
