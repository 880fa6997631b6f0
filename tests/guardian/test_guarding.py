"""There is a guardian while there is something to guard, and no longer."""

import os
import signal
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from prefect_qsession.exceptions import GuardianUnavailable
from prefect_qsession.release.guardian import Guardian, guardian
from prefect_qsession.release.guardian.guarding import RESTARTS, may_replace
from tests.guardian.conftest import is_running, outcomes
from tests.harness.waiting import wait_until


def test_a_process_has_one_guardian():
    """Whoever asks gets the same, and it costs no process until it guards."""
    assert guardian() is guardian()
    assert guardian().pid is None


def test_the_guardian_ends_with_its_last_ward_and_another_begins_with_the_next(
    flow_process, open_ward, emulator
):
    """A notebook that lies idle has no process beside it."""
    first, second, third = open_ward(), open_ward(), open_ward()
    one = flow_process.guard(first)
    same = flow_process.guard(second)
    still = flow_process.ask("discharge", first.session_id)
    none = flow_process.ask("discharge", second.session_id)
    wait_until(lambda: not is_running(one))
    another = flow_process.guard(third)
    flow_process.end()
    wait_until(lambda: not is_running(another))

    assert [one, one, None] == [same, still, none]
    assert another != one
    assert [None, None, "cancel"] == outcomes(emulator)


def test_a_session_may_be_discharged_twice_and_unknown_ones_too(flow_process, open_ward):
    """Nobody has to remember what was guarded."""
    ward = open_ward()
    flow_process.ask("discharge", ward.session_id)
    flow_process.ask("change", ward.session_id, "close")
    flow_process.guard(ward)

    assert [None, None] == [flow_process.ask("discharge", ward.session_id) for _ in range(2)]


def test_a_session_guarded_again_is_released_as_was_said_last(flow_process, open_ward, emulator):
    """The same ward twice is one ward."""
    ward = open_ward()
    flow_process.guard(ward)
    flow_process.guard(ward)

    assert flow_process.ask("discharge", ward.session_id) is None


def test_a_guardian_that_is_killed_is_replaced_and_the_new_one_knows_everything(
    flow_process, open_ward, emulator
):
    """With a warning; what was changed and discharged before is not forgotten."""
    wards = [open_ward(), open_ward(), open_ward()]
    for ward in wards:
        lost = flow_process.guard(ward)
    flow_process.ask("change", wards[1].session_id, "close")
    flow_process.ask("discharge", wards[2].session_id)
    os.kill(lost, signal.SIGKILL)
    wait_until(lambda: flow_process.settled_pid() not in {lost, None})
    replacement = flow_process.settled_pid()
    printed = flow_process.end()
    wait_until(lambda: not is_running(replacement))

    assert ["cancel", "close", None] == outcomes(emulator)
    assert "The guardian was gone; started another" in printed


def test_a_session_guarded_right_after_the_guardian_was_killed_is_not_lost(
    flow_process, open_ward, emulator
):
    """Whether or not its death has been noticed by then."""
    first, second = open_ward(), open_ward()
    lost = flow_process.guard(first)
    os.kill(lost, signal.SIGKILL)
    replacement = flow_process.guard(second)
    flow_process.end()
    wait_until(lambda: not is_running(replacement))

    assert ["cancel", "cancel"] == outcomes(emulator)


def test_a_guardian_that_does_not_answer_is_replaced(flow_process, open_ward, emulator):
    """One that is stopped guards nothing; it does not stay as an orphan either."""
    first, second = open_ward(), open_ward()
    stopped = flow_process.guard(first)
    os.kill(stopped, signal.SIGSTOP)
    replacement = flow_process.guard(second)
    wait_until(lambda: not is_running(stopped))
    flow_process.end()
    wait_until(lambda: not is_running(replacement))

    assert replacement != stopped
    assert ["cancel", "cancel"] == outcomes(emulator)


def test_a_guardian_that_is_killed_again_and_again_is_given_up_until_the_next_session(
    flow_process, open_ward, emulator
):
    """With an error in the log that names the sessions; the next session starts one for all."""
    first, second = open_ward(), open_ward()
    seen = [flow_process.guard(first)]
    for _ in range(RESTARTS):
        os.kill(seen[-1], signal.SIGKILL)
        wait_until(lambda: flow_process.settled_pid() not in {seen[-1], None})
        seen.append(flow_process.settled_pid())
    os.kill(seen[-1], signal.SIGKILL)
    wait_until(lambda: flow_process.settled_pid() is None)
    last = flow_process.guard(second)
    printed = flow_process.end()
    wait_until(lambda: not is_running(last))

    assert RESTARTS == printed.count("started another")
    assert first.session_id in printed.partition("again and again")[2]
    assert ["cancel", "cancel"] == outcomes(emulator)


def test_a_guardian_that_cannot_be_started_is_an_error_that_names_no_secret(open_ward, monkeypatch):
    """The caller decides what that means; the session is guarded once it works again."""
    ward = open_ward()
    keeper = Guardian()
    python = sys.executable
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(GuardianUnavailable, match="/nowhere/python") as caught:
        keeper.guard(ward)
    monkeypatch.setattr(sys, "executable", python)
    keeper.guard(open_ward())
    pid = keeper.pid
    keeper.discharge(ward.session_id)

    assert ward.access.api_key not in str(caught.value)
    assert pid == keeper.pid
    keeper.discharge(next(iter(keeper._wards)))


def test_a_guardian_that_does_not_answer_in_time_is_an_error(open_ward):
    """By the clock that was passed in; it is ended then, and nothing is left of it."""
    ward = open_ward()
    keeper = Guardian(clock=count(step=10.0).__next__)
    with pytest.raises(GuardianUnavailable, match="does not answer"):
        keeper.guard(ward)
    keeper.discharge(ward.session_id)

    wait_until(lambda: keeper.pid is None)


def test_many_threads_may_guard_and_discharge_at_once(open_ward):
    """Whoever discharges the last session while another guards one loses neither."""
    keeper = Guardian()
    wards = [open_ward() for _ in range(4)]

    def guard_and_discharge(ward) -> list[int | None]:
        seen = []
        for _ in range(10):
            keeper.guard(ward)
            seen.append(keeper.pid)
            keeper.discharge(ward.session_id)
        return seen

    with ThreadPoolExecutor(len(wards)) as pool:
        seen = [pid for pids in pool.map(guard_and_discharge, wards) for pid in pids]
    left = keeper.pid
    wait_until(lambda: not any(is_running(pid) for pid in seen))

    assert None not in seen
    assert left is None


@pytest.mark.parametrize(
    ("replaced_at", "now", "expected"),
    [
        ([], 0.0, True),
        ([0.0, 1.0, 2.0, 3.0], 4.0, True),
        ([0.0, 1.0, 2.0, 3.0, 4.0], 59.9, False),
        ([0.0, 1.0, 2.0, 3.0, 4.0], 60.0, True),
    ],
)
def test_five_replacements_a_minute_are_enough(replaced_at, now, expected):
    """A minute after the first of them there may be another."""
    assert expected == may_replace(deque(replaced_at), now)
