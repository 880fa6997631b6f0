"""Which of Prefect's runs a request comes from, and in which attempt each of them is."""

import gc
from collections.abc import Hashable, Iterator
from contextvars import Context, Token
from typing import TypeVar, cast

from prefect.context import ContextModel, FlowRunContext, TaskRunContext

C = TypeVar("C", bound=ContextModel)


def runs_around() -> tuple[tuple[Hashable, int], ...]:
    """Return the task and flow runs that are entered here, outermost last, with their attempts."""
    tasks = ((context.task_run.id, context.task_run.run_count) for context in tasks_around())
    flows = ((run.id, run.run_count) for context in flows_around() if (run := context.flow_run))
    return (*tasks, *flows)


def tasks_around() -> Iterator[TaskRunContext]:
    """Return the contexts of the tasks that are entered here, the innermost first."""
    return _around(TaskRunContext.get())


def flows_around() -> Iterator[FlowRunContext]:
    """Return the contexts of the flows that are entered here, the innermost first."""
    return _around(FlowRunContext.get())


def entered_in_any_thread(kind: type[C]) -> list[C]:
    """
    Return the contexts of this very kind that are entered in this process, in whatever thread.

    A task runner is not told whose it is, and no thread sees the context of another one; but the
    garbage collector knows every object. It takes a tenth of a second.
    """
    # Not gc.get_objects(): a tuple that another thread is making just then must be known to
    # nobody else. An object refers to its type.
    return [found for found in gc.get_referrers(kind) if type(found) is kind and is_entered(found)]


def is_entered(context: ContextModel) -> bool:
    """Whether what runs in it goes on."""
    return context._token is not None  # noqa: SLF001 - as below


def enter_in(context: Context, run: ContextModel) -> None:
    """
    Have a run be the one that is entered in a context, beside where it is.

    Prefect enters each once; what it is entered in, `_around` finds all the same.
    """
    context.run(run.__var__.set, run)


def _around(context: C | None) -> Iterator[C]:
    """
    Yield this run and those of its kind that it was entered in.

    Prefect offers no public way up: a task run names its parents by id, but not their attempts. The
    token of a context variable holds what was there before; Prefect keeps it under a private name,
    and tests/integration/test_reattachment.py notices if that changes: there, a retried task asks
    through a task inside it.
    """
    while context is not None:
        yield context
        token: Token[C] | None = context._token  # noqa: SLF001 - see above
        before = None if token is None else token.old_value
        context = None if before is Token.MISSING else cast("C | None", before)
