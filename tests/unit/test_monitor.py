"""What the monitor makes of the states that the API reports, over every type of state."""

from dataclasses import replace
from queue import Queue
from threading import Event

import pytest
from prefect.client.schemas.objects import FlowRun, FlowRunPolicy, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_qsession.release.monitor import Monitor, ReleaseReason, reason_of
from prefect_qsession.settings import QSessionSettings

KEEP = 60.0


def flow_run(state_type: StateType, run_count: int = 1, retry_delay: int = 0) -> FlowRun:
    """Return a flow run in a state of this type."""
    return FlowRun.model_construct(
        state_type=state_type,
        run_count=run_count,
        empirical_policy=FlowRunPolicy(retry_delay=retry_delay),
    )


EXPECTED = {
    StateType.PENDING: None,
    StateType.RUNNING: None,
    StateType.SCHEDULED: None,
    StateType.PAUSED: ReleaseReason.PAUSED,
    StateType.CANCELLING: ReleaseReason.CANCELLED,
    StateType.CANCELLED: ReleaseReason.CANCELLED,
    StateType.COMPLETED: ReleaseReason.COMPLETED,
    StateType.FAILED: ReleaseReason.FAILED,
    # It is this very process that is said to be dead.
    StateType.CRASHED: None,
}


@pytest.mark.parametrize("state_type", StateType)
def test_every_type_of_state_is_a_reason_or_none(state_type):
    """A type that Prefect adds must be placed here first."""
    assert EXPECTED[state_type] == reason_of([flow_run(state_type)], KEEP)


@pytest.mark.parametrize("above", StateType)
@pytest.mark.parametrize("own", StateType)
def test_of_two_flow_runs_the_worst_reason_counts(own, above):
    """A subflow's session ends with its parent's cancellation too."""
    reasons = [item for item in (EXPECTED[own], EXPECTED[above]) if item]
    worst = min(reasons, key=list(ReleaseReason).index) if reasons else None

    assert worst == reason_of([flow_run(own), flow_run(above)], KEEP)


@pytest.mark.parametrize(("delay", "expected"), [(60, None), (61, ReleaseReason.RETRIES_LATER)])
def test_a_retry_that_begins_too_late_is_a_reason(delay, expected):
    """Up to the time that the policy allows, the session is kept."""
    waiting = flow_run(StateType.SCHEDULED, run_count=1, retry_delay=delay)

    assert expected == reason_of([waiting], KEEP)


def test_a_flow_run_that_has_never_run_waits_for_no_retry():
    """Scheduled for the first time, it has no session to give up."""
    assert None is reason_of([flow_run(StateType.SCHEDULED, run_count=0, retry_delay=999)], KEEP)


def test_a_flow_run_that_the_api_does_not_know_is_no_reason():
    """Deleted while it runs: the process goes on, and so does its session."""
    assert None is reason_of([], KEEP)


def test_a_look_that_fails_is_not_the_last():
    """Whatever it is: a monitor that ends leaves its flow run with nobody to follow it."""
    looks = iter([RuntimeError("somebody else's environment changed"), ReleaseReason.IDLE])
    heard: Queue[ReleaseReason] = Queue()

    def look_inside() -> ReleaseReason:
        seen = next(looks)
        if isinstance(seen, Exception):
            raise seen
        return seen

    policy = replace(QSessionSettings().resolve({}), monitor_every_seconds=0.01)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        Monitor([], policy, look_inside, heard.put, beat=list).start()
        assert ReleaseReason.IDLE is heard.get(timeout=30)


def test_a_heartbeat_does_not_wait_for_what_is_looked_at_inside():
    """A silent service that is asked what is spent must not make a living process look dead."""
    beats: Queue[None] = Queue()
    goes_on, looks = Event(), Event()

    def look_inside() -> None:
        looks.set()
        goes_on.wait()

    policy = replace(
        QSessionSettings().resolve({}), monitor_every_seconds=0.01, heartbeat_every_seconds=0.05
    )
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        monitor = Monitor([], policy, look_inside, lambda _: None, beat=lambda: beats.put(None))
        monitor.start()
        assert looks.wait(timeout=30)
        while not beats.empty():
            beats.get()
        assert [beats.get(timeout=5) for _ in range(3)] == [None] * 3
        monitor.stop()
        goes_on.set()
