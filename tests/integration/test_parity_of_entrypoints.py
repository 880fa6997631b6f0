"""Flows in a user's file: found, described, loaded and run alike, whichever decorator they have."""

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.flow_engine import run_flow
from prefect.flows import (
    bind_flow_to_infrastructure,
    load_flow_from_entrypoint,
    safe_load_flow_from_entrypoint,
)
from prefect.states import State
from prefect.utilities.hashing import file_hash
from prefect.workers.process import ProcessWorker

from prefect_qsession.decorators import SessionFlow, session_flow
from tests.integration import user_code
from tests.integration.parity import ending, run_of, value_or_error

PLAIN = "from prefect import flow\n"
OURS = "from prefect_qsession import session_flow as flow\n"

FLOWS: dict[str, dict[str, Any]] = {
    "annotated": {
        "mode": "slow",
        "release": {"number": "2"},
        "state": {"of": "the art"},
    },
    "awaited": {"mode": "slow"},
    "yielding": {"release": {"number": 2}},
    "yielding_async": {"release": {"number": 2}},
    "Lab.of_class": {"release": {"number": 2}},
    "Lab.of_nobody": {"release": {"number": 2}},
    "Lab.of_nobody_async": {"release": {"number": 2}},
    "Lab.of_class_async": {"release": {"number": 2}},
    "nested": {"release": {"number": 2}, "others": ["slow"]},
}
"""Each with parameters as the server keeps them."""

METHODS = ["Lab.of_instance", "Lab.of_instance_async"]

MakeFile = Callable[..., Path]


@pytest.fixture
def file(tmp_path) -> MakeFile:
    """Write the user's code to a file of its own, with `flow` or with ours; return its path."""

    def write(decorator: str, more: str = "") -> Path:
        place = tmp_path / ("ours" if decorator == OURS else "plain")
        place.mkdir(exist_ok=True)
        code = inspect.getsource(user_code)
        assert PLAIN in code
        path = place / "users_own.py"
        path.write_text(code.replace(PLAIN, decorator + more))
        return path

    return write


def told(it: Flow) -> dict[str, Any]:
    """Return what Prefect knows of a flow, but for where it is."""
    return {
        "name": it.name,
        "description": it.description,
        "version": "the file's" if it.version == file_hash(inspect.getfile(it.fn)) else it.version,
        "parameters": it.parameters,
        "signature": str(inspect.signature(it)),
        "kind": (it.isasync, it.isgenerator, it.isclassmethod, it.isstaticmethod),
        "retries": it.retries,
        "entrypoint": it._entrypoint and it._entrypoint.rpartition(":")[2],
    }


async def _all(items: Any) -> list:
    return [item async for item in items]


def read(result: Any) -> Any:
    """Return what a flow of any kind has come to."""
    if inspect.isasyncgen(result):
        return asyncio.run(_all(result))
    if inspect.iscoroutine(result):
        return read(asyncio.run(result))
    return ending(result) if isinstance(result, State) else list(result)


def called(it: Flow, parameters: dict[str, Any]) -> Any:
    """Run a flow as a script does."""
    return read(it(**parameters) if it.isgenerator else it(**parameters, return_state=True))


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_is_loaded_from_its_file_and_called(name, file):
    """With the user's own types, whatever they are called."""
    plain = load_flow_from_entrypoint(f"{file(PLAIN)}:{name}")
    ours = load_flow_from_entrypoint(f"{file(OURS)}:{name}")

    assert isinstance(ours, SessionFlow)
    assert told(plain) == told(ours)
    assert called(plain, FLOWS[name]) == called(ours, FLOWS[name])


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_loaded_from_its_file_and_called(name, file):
    """On an instance; by itself it wants one."""
    results = []
    for decorator in (PLAIN, OURS):
        entrypoint = f"{file(decorator)}:{name}"
        it = load_flow_from_entrypoint(entrypoint)
        lab = it.fn.__globals__["Lab"]()
        method = getattr(lab, name.partition(".")[2])
        parameters = {"release": {"number": 2}}
        wanting = value_or_error(partial(it, **parameters))
        results.append((told(it), called(method, parameters), str(wanting)))

    assert results[0] == results[1]


@pytest.mark.parametrize("name", [name for name in FLOWS if name != "nested"])
def test_a_flow_is_loaded_without_what_its_file_imports(name, file):
    """As far as Prefect can: it evaluates the decorator, and leaves out what fails."""
    missing = "import a_library_that_is_not_here\n"
    loaded = [
        safe_load_flow_from_entrypoint(f"{file(decorator, missing)}:{name}")
        for decorator in (PLAIN, OURS)
    ]

    def known(it: Flow | None) -> Any:
        return it and (it.name, it.description, it.parameters, it.isasync, it.isgenerator)

    assert known(loaded[0]) == known(loaded[1])


def test_the_version_changes_with_the_users_code(file):
    """It is the hash of the user's file."""
    before = load_flow_from_entrypoint(f"{file(OURS)}:annotated").version
    after = load_flow_from_entrypoint(f"{file(OURS, 'x = 1' + chr(10))}:annotated").version

    assert before != after


@pytest.mark.parametrize("name", ["annotated", "awaited", "nested", "Lab.of_nobody"])
def test_a_flow_is_deployed_and_run_alike(name, file):
    """From its entrypoint, with parameters that the server keeps."""
    results = []
    for decorator in (PLAIN, OURS):
        it = load_flow_from_entrypoint(f"{file(decorator)}:{name}")
        deployment = it.to_deployment(f"of-{name}", tags=["parity"], parameters=FLOWS[name])
        state = read(run_flow(it, parameters=FLOWS[name], return_type="state"))
        results.append(
            (
                deployment.flow_name,
                deployment.entrypoint.rpartition(":")[2],
                deployment._parameter_openapi_schema,
                deployment.parameters,
                deployment.version == it.version,
                deployment.description,
                state,
            )
        )

    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["annotated", "Lab.of_nobody"])
def test_a_flow_from_a_source_keeps_its_session(name, file):
    """Also with other options, and as `session_flow.from_source`, as `flow` has it."""
    path = file(OURS)
    it = session_flow.from_source(str(path.parent), f"{path.name}:{name}")
    changed = it.with_options(name="other", max_time="2h")

    assert isinstance(changed, SessionFlow)
    assert "Completed" == called(changed, FLOWS[name])[0]
    assert changed.to_deployment("one").entrypoint == f"{path.name}:{name}"


def test_a_flow_that_is_bound_to_infrastructure_is_the_users_own(file):
    """Prefect looks for the files to include beside the function's."""
    path = file(OURS)
    it = load_flow_from_entrypoint(f"{path}:annotated")

    bound = bind_flow_to_infrastructure(it, "pool", ProcessWorker)

    assert str(path) == inspect.getfile(bound.fn)
    assert it.task_runner is bound.task_runner
    assert it.on_crashed_hooks == bound.on_crashed_hooks


def test_what_the_server_knows_of_a_run_is_the_same(file):
    """Name of the flow's version, parameters, policy of retries."""
    known = []
    for decorator in (PLAIN, OURS):
        it = load_flow_from_entrypoint(f"{file(decorator)}:awaited")
        run = run_of(asyncio.run(it(mode="slow", return_state=True)))
        policy = run.empirical_policy
        known.append((run.parameters, run.flow_version, policy.retries, run.tags, run.run_count))

    assert known[0] == known[1]
