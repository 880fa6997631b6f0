"""What a task takes along to another process."""

from uuid import UUID

import cloudpickle
from prefect import task

from prefect_qsession.config.modes import Mode
from prefect_qsession.policies import resolve_policy
from prefect_qsession.workers.context import (
    LONGEST_PLACE,
    JobDestination,
    WorkerContext,
    with_worker_context,
)


def runtime_on(backend):
    """Stand for what makes the way to the service."""


SESSION = JobDestination("ibm_manila", "session-1", Mode.SESSION)
CONTEXT = WorkerContext(
    UUID("12345678-1234-5678-1234-567812345678"),
    1,
    runtime_on,
    "ibm_manila",
    resolve_policy({}, None),
    None,
    "7",
)


@task
def some_task() -> None:
    """Do nothing."""


def test_the_users_task_is_left_as_it_is():
    """Flow runs side by side submit the same task object."""
    before = dict(vars(some_task))

    carrier = with_worker_context(some_task, CONTEXT)

    assert before == vars(some_task)
    assert some_task.task_key == carrier.task_key


def test_a_worker_context_goes_along_with_the_task():
    """However the task runner pickles it."""
    carrier = cloudpickle.loads(cloudpickle.dumps(with_worker_context(some_task, CONTEXT)))

    assert CONTEXT in vars(carrier).values()


def test_a_child_has_a_place_of_its_own_within_its_parents():
    """And brings the session along that its parent knows of."""
    children = [CONTEXT.for_child(number, SESSION) for number in (1, 2)]

    assert ["7.1", "7.2"] == [child.place for child in children]
    assert [SESSION, SESSION] == [child.session for child in children]
    assert "7.1.1" == children[0].for_child(1, None).place


def test_a_place_is_never_too_long_for_a_tag():
    """Where tasks submit tasks that submit tasks, it is shortened, and still one of its kind."""
    deep = CONTEXT
    places = []
    for _ in range(40):
        deep = deep.for_child(12, None)
        places.append(deep.place)

    assert max(map(len, places)) <= LONGEST_PLACE
    assert len(places) == len(set(places))
