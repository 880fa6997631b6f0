"""Threads beside a flow's own."""

from collections.abc import Callable
from contextvars import copy_context
from threading import Thread


def start_thread(target: Callable[[], object], name: str) -> Thread:
    """
    Run *target* in a thread that ends with the process, in the context of the caller.

    Prefect's settings, and the flow run itself, travel in context variables.
    """
    thread = Thread(target=copy_context().run, args=(target,), name=name, daemon=True)
    thread.start()
    return thread
