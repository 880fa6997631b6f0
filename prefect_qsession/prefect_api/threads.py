"""Threads beside a flow's own."""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from threading import Thread
from typing import ParamSpec, TypeVar

from prefect.context import FlowRunContext

from prefect_qsession.prefect_api.enclosing_runs import enter_in, tasks_around

P = ParamSpec("P")
R = TypeVar("R")


def start_thread(target: Callable[[], object], name: str) -> Thread:
    """
    Run *target* in a thread that ends with the process, in the context of the caller.

    Prefect's settings, and the flow run itself, travel in context variables.
    """
    thread = Thread(target=copy_context().run, args=(target,), name=name, daemon=True)
    thread.start()
    return thread


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that whatever blocks here would hold; None if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class CarriedContext:
    """
    The context in which this was made, for threads that carry none; thread-safe.

    Libraries start threads without. There, neither the flow run nor Prefect's settings are known,
    and the Prefect API that is asked might be another one.

    Args:
        context: The one to carry; that of the caller if left out.
    """

    def __init__(self, context: Context | None = None) -> None:
        self._context = copy_context() if context is None else context

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function where no flow run is entered here in this context, else as it is."""
        if FlowRunContext.get() is not None:
            return function(*args, **kwargs)
        # A context can be entered by one thread at a time.
        context = self._context.copy()
        # A task that was called in such a thread is nearer than those around the flow run's code.
        if (task := next(tasks_around(), None)) is not None:
            enter_in(context, task)
        return context.run(function, *args, **kwargs)
