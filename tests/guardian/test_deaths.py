"""The flow's process dies, by one cause or another; its sessions do not stay open."""

import signal
from dataclasses import asdict

import pytest

from prefect_qsession.states import Release
from tests.guardian.conftest import is_running, outcomes
from tests.harness.waiting import wait_until


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGHUP, signal.SIGSEGV, signal.SIGTERM])
def test_a_process_ended_by_a_signal_has_its_session_cancelled(
    sent, flow_process, open_ward, emulator
):
    """Also by one that leaves it no word to say; the guardian is gone afterwards."""
    guardian = flow_process.guard(open_ward())
    before = outcomes(emulator)

    flow_process.end(sent)
    wait_until(lambda: not is_running(guardian))

    assert [None] == before
    assert ["cancel"] == outcomes(emulator)


def test_the_session_is_cancelled_within_two_seconds_of_the_death(
    flow_process, open_ward, emulator, record_property
):
    """By the emulator's own clock, from the kill to the cancel."""
    flow_process.guard(open_ward())
    killed_at = emulator.clock.now()
    flow_process.end(signal.SIGKILL)
    wait_until(lambda: outcomes(emulator) == ["cancel"])
    seconds = emulator.sessions[0].closed - killed_at
    record_property("seconds", seconds)

    assert seconds < 2.0


def test_a_process_that_leaves_without_a_word_has_its_session_cancelled(
    flow_process, open_ward, emulator
):
    """`os._exit` runs no code of ours in the flow's process."""
    guardian = flow_process.guard(open_ward())
    flow_process.tell("leave", 3)
    wait_until(lambda: not is_running(guardian))

    assert ["cancel"] == outcomes(emulator)


def test_a_process_that_ends_well_with_a_session_left_has_it_cancelled(
    flow_process, open_ward, emulator
):
    """A release that was not confirmed is the guardian's; the end is silent, nothing leaks."""
    guardian = flow_process.guard(open_ward())
    printed = flow_process.finish()
    wait_until(lambda: not is_running(guardian))

    assert printed == ""
    assert ["cancel"] == outcomes(emulator)


def test_every_session_of_a_process_is_released_as_it_was_to_be(flow_process, open_ward, emulator):
    """One guardian for all; what was changed last counts, what was discharged is left alone."""
    wards = [
        open_ward(),
        open_ward(Release.CLOSE),
        open_ward(),
        open_ward(Release.CLOSE),
        open_ward(),
    ]
    pids = {flow_process.guard(ward) for ward in wards}
    flow_process.ask("change", wards[2].session_id, "close")
    flow_process.ask("change", wards[3].session_id, "cancel")
    pids.add(flow_process.ask("discharge", wards[4].session_id))
    flow_process.end()
    [guardian] = pids
    wait_until(lambda: not is_running(guardian))

    assert ["cancel", "close", "close", "cancel", None] == outcomes(emulator)


def test_a_forked_child_that_lives_on_does_not_hide_the_death(flow_process, open_ward, emulator):
    """It holds every pipe of its parent's open; the guardian watches the process itself."""
    guardian = flow_process.guard(open_ward())
    child, inherited, _ = flow_process.ask("fork")
    flow_process.process.kill()
    wait_until(lambda: not is_running(guardian))

    assert is_running(child)
    assert inherited is None
    assert ["cancel"] == outcomes(emulator)


def test_a_forked_child_has_a_guardian_of_its_own(flow_process, open_ward, emulator):
    """Neither can take the other's sessions away from the guardian."""
    first, second = open_ward(), open_ward()
    parents = flow_process.guard(first)
    child, _, childs = flow_process.ask("fork", asdict(second))
    after = flow_process.ask("pid")
    flow_process.process.kill()
    wait_until(lambda: outcomes(emulator) == ["cancel", None])

    assert parents == after
    assert childs != parents
    assert is_running(child)
    assert is_running(childs)


def test_the_ledger_is_told_once_the_service_has_confirmed(
    flow_process, open_ward, emulator, ledger
):
    """With the request that the flow's side prepared, and not before."""
    guardian = flow_process.guard(open_ward(forget=ledger.forget))
    before = list(ledger.asked)
    flow_process.end()
    wait_until(lambda: not is_running(guardian))

    assert [] == before
    assert [("DELETE", "/entry", "Bearer of-the-ledger", ["cancel"])] == ledger.asked


def test_a_session_that_was_discharged_is_left_alone(flow_process, open_ward, emulator, ledger):
    """The death of the process is not its end, and the ledger hears nothing."""
    ward = open_ward(forget=ledger.forget)
    guardian = flow_process.guard(ward)
    left = flow_process.ask("discharge", ward.session_id)
    wait_until(lambda: not is_running(guardian))
    printed = flow_process.finish()

    assert left is None
    assert printed == ""
    assert [None] == outcomes(emulator)
    assert [] == ledger.asked
