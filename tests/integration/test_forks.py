"""Processes that a flow forks or starts: they ask in vain, and harm nothing of their parent's."""

import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from prefect import flow, get_client, runtime
from prefect.context import FlowRunContext
from qiskit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from scipy.optimize import differential_evolution

from prefect_qsession import (
    SessionTaskRunner,
    current_backend,
    current_session,
    estimator,
    executor,
    sampler,
    session_flow,
    track,
)
from prefect_qsession.emulator import Delay, Fault
from prefect_qsession.exceptions import InOtherProcess, NotInSessionFlow
from prefect_qsession.session.flow_run_sessions import session_owned_by
from tests.harness.waiting import wait_until
from tests.integration.conftest import flipped_qubit, one, outcomes
from tests.integration.session_flows import Boom, both_ways, with_decorator, with_runner

FORK = multiprocessing.get_context("fork")
SPAWN = multiprocessing.get_context("spawn")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
"""Python 3.12 warns of every fork; these are what the tests are about."""

inherited: list = []
"""What the flow's body has made, for its forks to find."""

ASKS = (estimator, sampler, executor, current_backend, current_session)


def asks(_item: object = None) -> list[str]:
    """Ask for everything there is, and return what was said each time."""
    return [said_by(ask) for ask in ASKS]


def said_by(ask: Callable[[], object]) -> str:
    """Return the error that is raised instead of an answer."""
    try:
        return f"an answer: {ask()}"
    except InOtherProcess as error:
        return str(error)


def uses_inherited(_item: object = None) -> list[str]:
    """Use what the parent has made: its primitive, its job, its numbers."""
    primitive, job = inherited
    track(energy=1.0)
    asked = (partial(primitive.run, [flipped_qubit(5)]), primitive.backend, job.result, job.cancel)
    return [said_by(ask) for ask in asked]


def cost(x: np.ndarray) -> float:
    """Ask from scipy's own processes."""
    sampler()
    return float(x[0]) ** 2


def by_pool(work) -> list[list[str]]:
    with FORK.Pool(2) as children:
        return children.map(work, [1, 2])


def by_executor(work) -> list[list[str]]:
    with ProcessPoolExecutor(2, mp_context=FORK) as children:
        return list(children.map(work, [1, 2]))


def by_process(work) -> list[list[str]]:
    ours, theirs = FORK.Pipe()
    child = FORK.Process(target=lambda: theirs.send(work()))
    child.start()
    said = ours.recv()
    child.join()
    return [said]


def by_bare_fork(work) -> list[list[str]]:
    ours, theirs = FORK.Pipe()
    pid = os.fork()
    if pid == 0:
        theirs.send(work())
        os._exit(0)
    said = ours.recv()
    os.waitpid(pid, 0)
    return [said]


WAYS = [by_pool, by_executor, by_process, by_bare_fork]


@pytest.mark.parametrize("work", [asks, uses_inherited])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_fork_is_told_what_to_do_and_its_parents_session_goes_on(way, work, block, emulator):
    """One sentence, whatever it asks for or has inherited; only the parent's jobs are paid."""

    @session_flow(block, backend="ibm_manila", qpu_budget="1h")
    def forks() -> list[list[str]]:
        job = sampler().run([flipped_qubit(5)], shots=10)
        inherited[:] = [sampler(), job]
        said = way(work)
        assert 1 == one(20)
        job.result()
        return said

    said = [text for texts in forks() for text in texts]

    assert said
    assert set() == {text for text in said if "ProcessPoolTaskRunner" not in text}
    assert 2 == len(emulator.jobs)
    assert ["close"] == outcomes(emulator)


@pytest.mark.slow
def test_scipys_processes_are_told_what_to_do(block, emulator):
    """`workers=2` forks a pool, and passes on what its processes raise."""

    @session_flow(block, backend="ibm_manila")
    def minimizes() -> int:
        one()
        with pytest.raises(InOtherProcess, match=r"sampler\(\).*ProcessPoolTaskRunner"):
            differential_evolution(cost, [(-1, 1)], workers=2, updating="deferred", maxiter=1)
        return one(20)

    assert 1 == minimizes()
    assert 2 == len(emulator.jobs)
    assert ["close"] == outcomes(emulator)


@pytest.mark.slow
def test_a_process_that_begins_anew_is_told_what_to_do(block, emulator):
    """With spawn, as with joblib's loky, it knows of no flow run."""

    @session_flow(block, backend="ibm_manila")
    def spawns() -> list[str]:
        one()
        with ProcessPoolExecutor(1, mp_context=SPAWN) as children:
            return children.submit(asks).result()

    said = spawns()

    assert len(ASKS) == len(said)
    assert set() == {text for text in said if "ProcessPoolTaskRunner" not in text}
    assert ["close"] == outcomes(emulator)


def test_what_is_the_flow_runs_is_not_sent_to_another_process(block):
    """A primitive and a job say so, and what to do instead."""

    @session_flow(block, backend="ibm_manila")
    def sends() -> None:
        job = sampler().run([flipped_qubit(5)], shots=10)
        for it in (sampler(), job):
            with pytest.raises(InOtherProcess, match="sent to another process"):
                pickle.dumps(it)
        job.result()

    sends()


def exits() -> None:
    sys.exit(3)


def raises() -> None:
    raise Boom


def returns() -> None:
    """Come back from the flow's body, as if the fork were the flow run."""


def ends_at_once() -> None:
    os._exit(4)


@pytest.mark.parametrize(
    ("session", "end", "code"),
    [
        (with_decorator, exits, 3),
        (with_decorator, raises, 1),
        (with_decorator, returns, 0),
        (with_decorator, ends_at_once, 4),
        # Without the decorator Prefect takes the fork's end for the flow run's.
        (with_runner, ends_at_once, 4),
    ],
)
def test_however_a_fork_ends_the_session_is_its_parents(session, end, code, block, emulator):
    """It leaves the flow's body by an error, say: that is its own end, and not the flow run's."""

    @session(block)
    def forks() -> tuple:
        one(10)
        if (pid := os.fork()) == 0:
            return end()
        _, status = os.waitpid(pid, 0)
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(runtime.flow_run.id).state
        open_then = outcomes(emulator)
        one(20)
        return os.waitstatus_to_exitcode(status), open_then, state.is_running()

    assert (code, [None], True) == forks()
    assert ["close"] == outcomes(emulator)
    assert 2 == len(emulator.jobs)


@both_ways
def test_a_forks_release_releases_nothing(session, block, emulator):
    """Its runner's exit neither: where Prefect ends a flow run in a fork, the session stays."""

    @session(block)
    def forks() -> list[str | None]:
        one()
        own = session_owned_by(FlowRunContext.get())
        child = FORK.Process(target=own.release_at_exit, args=(Boom(),))
        child.start()
        child.join()
        assert 0 == child.exitcode
        return outcomes(emulator)

    assert [None] == forks()
    assert ["close"] == outcomes(emulator)


def test_a_fork_waits_for_no_thread_of_its_parent(block, emulator):
    """Another thread submits, and holds what it holds, while the process is forked."""
    slow = emulator.faults.add(Fault("/jobs", Delay(2), method="POST", count=1))

    @session_flow(block, backend="ibm_manila")
    def forks() -> list[str]:
        inherited[:] = [sampler(), sampler().run([flipped_qubit(5)], shots=10)]
        with ThreadPoolExecutor(1) as threads:
            submitting = threads.submit(one, 20)
            wait_until(lambda: slow.struck)
            [said] = by_process(uses_inherited)
            assert not submitting.done()
            assert 1 == submitting.result()
        return said

    said = forks()

    assert set() == {text for text in said if "ProcessPoolTaskRunner" not in text}
    assert ["close"] == outcomes(emulator)


def test_a_fork_may_look_at_its_parents_backend(block, emulator):
    """It reads by connections of its own, while its parent and others of its kind read too."""

    @session_flow(block, backend="ibm_manila")
    def forks() -> list[bool]:
        inherited[:] = [current_backend()]
        with FORK.Pool(3) as children:
            asked = children.map_async(looks, range(3))
            looked = [looks(0), *asked.get()]
        one()
        return looked

    assert [True] * 4 == forks()
    assert ["close"] == outcomes(emulator)


def looks(_item: int) -> bool:
    """Look at the backend several times."""
    [backend] = inherited
    return all(backend.status().operational for _ in range(5))


def test_qiskits_own_processes_transpile_inside_a_session_flow(block, emulator):
    """They are forks, and ask for nothing of the flow run's."""

    @session_flow(block, backend="ibm_manila")
    def transpiles() -> int:
        one(10)
        circuits = [QuantumCircuit(2) for _ in range(4)]
        for circuit in circuits:
            circuit.h(0)
            circuit.cx(0, 1)
        passes = generate_preset_pass_manager(backend=current_backend(), seed_transpiler=1)
        made = passes.run(circuits, num_processes=2)
        one(20)
        return len(made)

    assert 4 == transpiles()
    assert ["close"] == outcomes(emulator)


def test_a_fork_may_run_a_flow_of_its_own(make_emulator, save_block):
    """A process that was forked before is like any other: it has its session, and releases it."""
    emulator = make_emulator()
    block = save_block(emulator)

    child = FORK.Process(target=runs_alone, args=(block,))
    child.start()
    child.join()

    assert 0 == child.exitcode
    assert ["close"] == outcomes(emulator)


def runs_alone(block: str) -> None:
    """Run a session flow, whose thread asks for its job."""

    @flow(task_runner=SessionTaskRunner(block, backend="ibm_manila"))
    def alone() -> int:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(one).result()

    with suppress(NotInSessionFlow):
        estimator()
        sys.exit(2)
    sys.exit(0 if alone() == 1 else 1)
