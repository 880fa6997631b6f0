"""The ways in which a script calls a flow."""

import asyncio
import inspect
import threading
from typing import Any

from tests.harness import flows


def directly(run: Any, parameters: dict[str, Any]) -> None:
    """Call the flow in the main thread."""
    result = run(**parameters)
    if inspect.iscoroutine(result):
        asyncio.run(result)


def in_thread(run: Any, parameters: dict[str, Any]) -> None:
    """Call the flow outside the main thread."""
    thread = threading.Thread(target=directly, args=(run, parameters))
    thread.start()
    thread.join()


def twice(run: Any, parameters: dict[str, Any]) -> None:
    """Run two async flows in this process at once; the other one returns."""

    async def both() -> None:
        other = parameters | {"shape": "returns"}
        await asyncio.gather(
            run(**parameters), flows.elsewhere_async(**other), return_exceptions=True
        )

    asyncio.run(both())


def read(run: Any, parameters: dict[str, Any]) -> None:
    """Read a generator flow to its end."""
    if inspect.isasyncgen(items := run(**parameters)):

        async def read_all() -> None:
            async for _ in items:
                pass

        asyncio.run(read_all())
    else:
        list(items)


def leave(run: Any, parameters: dict[str, Any]) -> None:
    """Leave a generator flow after its first item."""
    if inspect.isasyncgen(items := run(**parameters)):

        async def read_one() -> None:
            async for _ in items:
                break

        asyncio.run(read_one())
    else:
        next(items)
        items.close()


CALLS = {call.__name__: call for call in (directly, in_thread, twice, read, leave)}
