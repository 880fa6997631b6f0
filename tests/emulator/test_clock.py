"""Clocks, and what is due."""

import pytest

from prefect_qsession.emulator.rules.timers import Timers
from prefect_qsession.emulator.rules.times import isoformat
from prefect_qsession.emulator.running.clock import HandClock, RunningClock


def test_a_hand_clock_moves_only_when_moved():
    """A hand clock shows the sum of its moves, on a grid of microseconds."""
    clock = HandClock(start=1_750_000_000.0)

    clock.advance(59.999)
    clock.advance(0.001)

    assert 1_750_000_060.0 == clock.now()


@pytest.mark.parametrize("move", [-1.0, -0.000001])
def test_a_hand_clock_refuses_to_run_backwards(move):
    """A negative move is an error and moves nothing."""
    clock = HandClock(start=100.0)

    with pytest.raises(ValueError, match="backwards"):
        clock.advance(move)

    assert 100.0 == clock.now()


def test_a_hand_clock_drives_one_emulator_at_most():
    """A clock that drives an emulator refuses a second one."""
    clock = HandClock()
    clock.attach(lambda _: None)

    with pytest.raises(RuntimeError, match="already drives"):
        clock.attach(lambda _: None)


def test_a_fast_clock_needs_less_real_time():
    """On a clock at a thousand times the speed, a minute is 60 ms away."""
    clock = RunningClock(speed=1000.0)

    assert 0.06 == pytest.approx(clock.real_seconds_until(clock.now() + 60), rel=0.2)


@pytest.mark.parametrize("speed", [0.0, -1.0])
def test_a_clock_must_run_forwards(speed):
    """A speed that is not positive is refused."""
    with pytest.raises(ValueError, match="positive"):
        RunningClock(speed)


def test_times_are_written_as_the_service_writes_them():
    """Times are UTC in ISO format with microseconds and a Z."""
    assert "1970-01-01T00:01:00.500000Z" == isoformat(60.5)


def test_due_things_happen_in_order_and_each_at_its_own_time():
    """Looking late changes neither the order of timers nor the time they are told."""
    timers, happened = Timers(), []
    for at in (3.0, 1.0, 2.0):
        timers.schedule(at, happened.append)

    timers.run_until(2.0)

    assert [1.0, 2.0] == happened
    assert 3.0 == timers.next_due()


def test_what_is_cancelled_does_not_happen():
    """A timer that was cancelled is neither due nor run."""
    timers, happened = Timers(), []
    timers.schedule(1.0, happened.append).cancel()

    timers.run_until(5.0)

    assert [] == happened
    assert timers.next_due() is None


def test_what_becomes_due_on_the_way_happens_too():
    """A timer made by another one is kept in the same run if its time has come."""
    timers, happened = Timers(), []
    timers.schedule(1.0, lambda at: timers.schedule(at + 1, happened.append))

    timers.run_until(2.0)

    assert [2.0] == happened
