"""What a flow run may cost, by hand-moved time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from prefect_qsession.budget.rules import WARN_AT, Budget, BudgetKind
from prefect_qsession.exceptions import BudgetExceeded


def spent_qpu(budget: Budget) -> float:
    return budget.spent_seconds(BudgetKind.QPU, now=0)


@pytest.mark.parametrize(
    ("cap", "charged", "executions", "fits"),
    [
        (None, [1e9], 10**9, True),
        (10, [], 0, True),
        (2, [], 0, True),
        (1, [], 0, False),
        (10, [], 20_000, True),  # 2 s + 7 s
        (10, [], 30_000, False),  # 2 s + 10.5 s
        (10, [4], 30_000, True),  # by now it is known that jobs take 4 s
        (10, [4, 4], 0, False),
        (10, [1, 7], 0, False),
        (10, [1, 3], 0, True),
        (10, [10], 0, False),
        (10, [0, 0], 10**9, True),
    ],
)
def test_a_job_fits_if_what_is_spent_and_estimated_stays_within_the_cap(
    cap, charged, executions, fits
):
    """By IBM's rule of thumb first, then by the mean of what the run's jobs really took."""
    budget = Budget(cap, None)
    for number, seconds in enumerate(charged):
        budget.charge(number, f"job-{number}", seconds)
    try:
        budget.reserve("next", executions, now=0)
    except BudgetExceeded:
        assert not fits
    else:
        assert fits


def test_at_the_cap_there_is_no_new_job_however_cheap():
    """Also if the jobs so far cost nothing on average."""
    budget = Budget(5, None)
    budget.charge("a", "job-a", 5.0)
    for number in range(1000):
        budget.charge(number, f"job-{number}", 0.0)

    with pytest.raises(BudgetExceeded):
        budget.reserve("next", 0, now=0)


def test_jobs_under_way_count_by_their_estimates():
    """Each is kept back for, until it is settled."""
    budget = Budget(5, None)
    budget.reserve("a", 0, now=0)
    budget.reserve("b", 0, now=0)

    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve("c", 0, now=0)
    assert (0.0, 6.0) == (refused.value.spent_seconds, refused.value.estimate_seconds)

    budget.give_back("a")
    budget.give_back("a")
    budget.reserve("c", 0, now=0)


def test_a_job_is_charged_once_however_often_it_is_told():
    """Two requests that one job answers, or an answer that is read twice, cost once."""
    budget = Budget(100, None)
    budget.reserve("a", 0, now=0)
    budget.reserve("b", 0, now=0)
    for request in ("a", "a", "b"):
        budget.charge(request, "job-1", 3.0)

    assert 3.0 == spent_qpu(budget)


def test_a_charge_that_cannot_be_read_counts_as_estimated():
    """And teaches nothing about what jobs take."""
    budget = Budget(100, None)
    budget.reserve("a", 10_000, now=0)
    budget.charge("a", "job-a", None)
    budget.charge("b", "job-b", 10.0)

    assert pytest.approx(2 + 3.5 + 10) == spent_qpu(budget)
    budget.reserve("c", 10**9, now=0)  # by the rule of thumb it would not fit


def test_the_error_says_all_that_is_needed():
    """Which budget, its cap, what is spent, what is estimated, where, and what to do."""
    budget = Budget(10, None)
    budget.charge("a", "job-a", 8.0)
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve("b", 0, now=0, session_id="session-1")

    message = str(refused.value)
    for word in ("qpu_budget of 10 s", "8.0 s are spent", "8.0 s are est", "session-1", "Raise"):
        assert word in message
    assert ("qpu_budget", 10, 8.0, 8.0, "session-1") == (
        refused.value.budget,
        refused.value.cap_seconds,
        refused.value.spent_seconds,
        refused.value.estimate_seconds,
        refused.value.session_id,
    )


def test_reservations_are_exact_under_threads():
    """A cap for ten jobs admits ten of a hundred, and what is settled is neither lost nor twice."""
    budget = Budget(20, None)

    def ask(number: int) -> bool:
        try:
            budget.reserve(number, 0, now=0)
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        admitted = [number for number, ok in enumerate(threads.map(ask, range(100))) if ok]
        assert 10 == len(admitted)
        list(threads.map(budget.give_back, admitted[:5]))
        assert 5 == sum(threads.map(ask, range(100, 200)))
        list(threads.map(lambda n: budget.charge(n, f"job-{n}", 1), range(200)))

    assert 200 == spent_qpu(budget)


RUNNING, NOT_RUNNING = True, False


@pytest.mark.parametrize(
    ("readings", "now", "expected"),
    [
        ([], 100, 0),
        ([("s1", 5, 10, NOT_RUNNING)], 100, 5),
        ([("s1", 5, 10, RUNNING)], 100, 95),
        ([("s1", 5, 10, RUNNING)], 10, 5),
        ([("s1", 5, 10, RUNNING)], 3, 5),
        ([("s1", 5, 10, RUNNING), ("s1", 7, 20, NOT_RUNNING)], 100, 7),
        ([("s1", None, 10, RUNNING)], 30, 20),
        ([("s1", None, 10, RUNNING), ("s1", None, 20, RUNNING)], 30, 20),
        ([("s1", 5, 10, RUNNING), ("s1", None, 20, NOT_RUNNING)], 100, 15),
        ([("s1", None, 10, NOT_RUNNING)], 100, 0),
        ([("s1", 5, 10, NOT_RUNNING), ("s2", 1, 50, RUNNING)], 60, 16),
    ],
)
def test_session_time_is_read_and_goes_on_while_a_session_is_active(readings, now, expected):
    """Over all sessions of the flow run; the service's own figure wins as soon as it comes."""
    budget = Budget(None, None)
    for session_id, usage, at, is_running in readings:
        budget.read_session(session_id, usage, at, is_running=is_running)

    assert expected == budget.spent_seconds(BudgetKind.SESSION, now)


def test_no_job_is_asked_for_when_the_session_time_is_spent():
    """To the second."""
    budget = Budget(None, 60)
    budget.read_session("s1", 10, at=100, is_running=True)
    budget.reserve("a", 0, now=149)

    with pytest.raises(BudgetExceeded, match=r"session_budget of 60 s .* 60\.0 s are spent \("):
        budget.reserve("b", 0, now=150, session_id="s1")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, (False, False)),
        (79.9, (False, False)),
        (80, (True, False)),
        (99.9, (True, False)),
        (100, (True, True)),
        (200, (True, True)),
    ],
)
@pytest.mark.parametrize("kind", list(BudgetKind))
def test_most_of_a_cap_is_spent_before_all_of_it_is(kind, seconds, expected):
    """At four fifths of the cap, and at the cap."""
    budget = Budget(100, 100)
    budget.charge("a", "job-a", seconds if kind is BudgetKind.QPU else 0)
    if kind is BudgetKind.SESSION:
        budget.read_session("s1", seconds, at=0, is_running=False)
    [other] = set(BudgetKind) - {kind}

    assert expected == (budget.is_spent(kind, 0, WARN_AT), budget.is_spent(kind, 0))
    assert not budget.is_spent(other, 0)


def test_one_of_many_threads_is_warned():
    """Exactly one."""
    budget = Budget(100, None)
    with ThreadPoolExecutor(16) as threads:
        warned = list(threads.map(lambda _: budget.take_warning(BudgetKind.QPU), range(200)))

    assert 1 == warned.count(True)


def test_without_caps_everything_is_allowed_and_still_counted():
    """For the account at the end."""
    budget = Budget(None, None)
    budget.charge("a", "job-a", 1e9)

    assert not budget.is_spent(BudgetKind.QPU, 0)
    assert 1e9 == spent_qpu(budget)
    assert (False, None) == (budget.wants_reading(0), budget.session_seconds_left(0))


@pytest.mark.parametrize(
    ("cap", "usage", "looks", "next_at"),
    [(600, 0, 59, 60), (20, 0, 9, 10), (20, 19, 0, 1), (20, 25, 0, 1)],
)
def test_a_reading_is_wanted_the_sooner_the_less_is_left(cap, usage, looks, next_at):
    """At least every minute, at most every second; at once if there was none."""
    budget = Budget(None, cap)
    assert budget.wants_reading(0)
    budget.read_session("s1", usage, at=0, is_running=False)

    assert not budget.wants_reading(looks)
    assert budget.wants_reading(next_at)
    assert max(cap - usage, 0) == budget.session_seconds_left(0)


def test_jobs_of_others_are_spent_and_under_way_too():
    """Each counts once, however often it is told; what is under way counts as estimated."""
    budget = Budget(10, None)
    budget.charge_others({"a": 2.0, "b": 2.0}, under_way=2)
    budget.charge_others({"a": 2.0})

    assert 4.0 == spent_qpu(budget)
    assert budget.is_charged("a")
    budget.reserve("mine", 0, now=0)
    with pytest.raises(BudgetExceeded):
        budget.reserve("mine too", 0, now=0)

    budget.charge_others({}, under_way=0)
    budget.reserve("mine too", 0, now=0)


def test_a_warning_that_another_process_gives_is_given_once():
    """Whoever finds out first."""
    budget = Budget(100, None)

    assert budget.take_warning(BudgetKind.QPU)
    assert not budget.take_warning(BudgetKind.QPU)
