"""When jobs are asked how they stand: on traces, recorded and made up, beside the client's beat."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_qsession.jobs.waiting import (
    JOB_MODE_BEAT_SECONDS,
    KINDS,
    REMEMBERED,
    SESSION_BEAT_SECONDS,
    Span,
    Waiting,
    beat_seconds,
    worthwhile,
)

RECORDED: dict[str, list[float]] = json.loads(
    (Path(__file__).parent / "data" / "job_seconds.json").read_text()
)
"""From the answer to a submission to the end of its job, of jobs of 0.15 and 1 s with 20 % spread;
the first of a session includes what the first job costs."""

THINKING_SECONDS = 0.03
TOLERANCE = 1e-6


@dataclass
class Found:
    """How one job was found over."""

    late_seconds: float
    """From its end to the question that found it."""
    questions: int
    asked_at: list[float]


def ask_for(
    jobs: list[float],
    request_seconds: float,
    *,
    beat: float = SESSION_BEAT_SECONDS,
    waiting: Waiting | None = None,
    queued_seconds: float = 0.0,
) -> list[Found]:
    """Wait for jobs of these lengths, one after the other, by our policy."""
    waiting = waiting or Waiting(questions_per_second=10_000)
    now, found = 0.0, []
    for seconds in jobs:
        begun = now + queued_seconds
        ends, asked_at = begun + seconds, []
        with waiting.job(
            "kind", estimate_seconds=2.0, beat_seconds=beat, submitted_at=now, now=now
        ) as wait:
            is_over = False
            while not is_over:
                sent_at = max(wait.next_question(now), now)
                asked_at.append(sent_at)
                is_over, is_queued = sent_at >= ends, sent_at < begun
                now = sent_at + request_seconds
                wait.asked(sent_at, now, is_queued=is_queued, is_over=is_over)
        found.append(Found(asked_at[-1] - ends, len(asked_at), asked_at))
        now += THINKING_SECONDS
    return found


def ask_as_the_client_does(
    jobs: list[float],
    request_seconds: float,
    beat: float = SESSION_BEAT_SECONDS,
    queued_seconds: float = 0.0,
) -> list[Found]:
    """Wait for the same jobs on the client's own beat."""
    found = []
    for seconds in jobs:
        ends, asked_at = queued_seconds + seconds, [0.0]
        while asked_at[-1] < ends:
            asked_at.append(asked_at[-1] + request_seconds + beat)
        found.append(Found(asked_at[-1] - ends, len(asked_at), asked_at))
    return found


def around(seconds: float, number: int, spread: float = 0.2) -> list[float]:
    """Return so many lengths, drawn evenly around one."""
    draw = Random(seconds).uniform  # noqa: S311 - to be the same each time
    return [seconds * (1 + spread * draw(-1, 1)) for _ in range(number)]


def mean_lateness(found: list[Found]) -> float:
    return sum(one.late_seconds for one in found) / len(found)


def questions(found: list[Found]) -> int:
    return sum(one.questions for one in found)


@given(
    jobs=st.lists(st.floats(0.0, 20.0), min_size=1, max_size=12),
    request_seconds=st.floats(0.0, 0.2),
    beat=st.sampled_from([SESSION_BEAT_SECONDS, JOB_MODE_BEAT_SECONDS]),
    queued_seconds=st.floats(0.0, 20.0),
)
def test_no_job_is_found_later_than_by_the_client_by_more_than_its_beat(
    jobs, request_seconds, beat, queued_seconds
):
    """Whatever the jobs before it took, and however wrong the expectation is."""
    ours = ask_for(
        jobs,
        request_seconds,
        beat=beat,
        waiting=_knowing(request_seconds),
        queued_seconds=queued_seconds,
    )
    theirs = ask_as_the_client_does(jobs, request_seconds, beat, queued_seconds)

    later = [
        mine.late_seconds - their.late_seconds for mine, their in zip(ours, theirs, strict=True)
    ]
    assert max(later) <= beat + request_seconds + TOLERANCE


def _knowing(request_seconds: float) -> Waiting:
    """Return one that has learnt how long a question takes."""
    waiting = Waiting(questions_per_second=10_000)
    waiting.asked(-request_seconds, 0.0)
    return waiting


@given(jobs=st.lists(st.floats(0.0, 20.0), min_size=2, max_size=12), latency=st.floats(0.0, 0.2))
def test_every_job_is_found_after_its_end_and_asked_in_order(jobs, latency):
    """Questions never go back in time, and the last one is the only one that finds the job over."""
    for found in ask_for(jobs, latency):
        assert found.asked_at == sorted(found.asked_at)
        assert found.late_seconds >= 0


@pytest.mark.parametrize("request_seconds", [0.007, 0.042])
@pytest.mark.parametrize("seconds", [0.15, 1.0, 3.0])
def test_steady_jobs_are_found_sooner_with_no_more_requests(seconds, request_seconds):
    """Beside the client, which makes two more requests before each job."""
    jobs = around(seconds, 60)
    ours, theirs = ask_for(jobs, request_seconds), ask_as_the_client_does(jobs, request_seconds)

    assert questions(ours) <= questions(theirs) + 2 * len(jobs)
    assert mean_lateness(ours) < 2 / 3 * mean_lateness(theirs)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_jobs_are_found_in_half_the_time(name):
    """Real lengths, with the jitter of a real server, at a round trip of 7 ms."""
    jobs = RECORDED[name]
    ours, theirs = ask_for(jobs, 0.007), ask_as_the_client_does(jobs, 0.007)

    assert mean_lateness(ours) < mean_lateness(theirs) / 2
    assert questions(ours) <= questions(theirs) + 2 * len(jobs)


def test_long_jobs_are_asked_for_less_than_by_the_client():
    """Half the questions are saved while the job cannot be over yet, at little loss."""
    jobs = around(60.0, 20)
    ours, theirs = ask_for(jobs, 0.01), ask_as_the_client_does(jobs, 0.01)

    assert questions(ours) < 0.7 * questions(theirs)
    assert mean_lateness(ours) < 1.2 * mean_lateness(theirs)


def test_questions_are_dense_only_around_the_expected_end():
    """A known job of 3 s is asked every other beat before, and every few milliseconds near it."""
    *_, last = ask_for([*around(3.0, 40, spread=0.1), 3.2], request_seconds=0.002)
    gaps = [later - earlier for earlier, later in pairwise(last.asked_at)]

    assert min(gaps[:10]) > 1.5 * SESSION_BEAT_SECONDS
    assert max(gaps[-5:]) < 0.5 * SESSION_BEAT_SECONDS


@pytest.mark.parametrize(("before", "after"), [(0.15, 3.0), (3.0, 0.15), (1.0, 1.5), (1.5, 1.0)])
def test_a_change_of_length_is_learnt_from_one_job(before, after):
    """The jobs after it are found in two thirds of the time that the client takes."""
    found = ask_for([before] * 30 + [after] * 15, request_seconds=0.005)[31:]

    assert mean_lateness(found) < SESSION_BEAT_SECONDS / 3


def test_a_job_that_is_long_overdue_is_asked_for_less_and_less():
    """It took a second so far; after a minute more it is asked only as often as it has to be."""
    *_, last = ask_for([1.0] * 20 + [61.0], request_seconds=0.005)
    gaps = [later - earlier for earlier, later in pairwise(last.asked_at)]

    assert min(gaps[-20:]) > SESSION_BEAT_SECONDS
    assert last.questions < ask_as_the_client_does([61.0], 0.005)[0].questions


def test_before_there_is_a_history_the_estimate_decides():
    """A job that is estimated to take long is not asked for as often as one that is not."""
    short, long = Waiting(10_000).spans("kind", 0.1), Waiting(10_000).spans("kind", 60.0)

    assert worthwhile(short, 0.0, 10.0) < worthwhile(long, 0.0, 10.0) / 10


def test_kinds_are_told_apart():
    """A measurement of 10 s does not change when the evaluations of 1 s are asked for."""
    waiting = Waiting(10_000)
    waiting.over("evaluation", Span(1.0, 1.01))
    waiting.over("measurement", Span(10.0, 10.1))

    assert 1.2 > waiting.spans("evaluation", 2.0)[0].longest
    assert 9.0 < waiting.spans("measurement", 2.0)[0].shortest


def test_a_kind_that_is_new_is_expected_to_be_like_the_others_but_by_and_large():
    """From half to twice what they took."""
    waiting = Waiting(10_000)
    waiting.over("evaluation", Span(1.0, 1.01))
    [span] = waiting.spans("measurement", 60.0)

    assert (0.5, 2.0) == (span.shortest, round(span.longest, 1))


def test_what_is_kept_does_not_grow_with_the_number_of_jobs():
    """Of a kind the last jobs are remembered, and of the kinds the last that came up."""
    waiting = Waiting(10_000)
    for kind in range(KINDS + 1):
        for _ in range(2 * REMEMBERED):
            waiting.over(kind, Span(1.0 + kind, 2.0 + kind))

    assert REMEMBERED == len(waiting.spans(KINDS, 2.0))
    assert waiting.spans("new", 2.0) == waiting.spans(0, 2.0) != waiting.spans(1, 2.0)


def test_the_time_in_the_queue_is_not_the_job_s():
    """A job that waits for 30 s and runs for one is known to run for one."""
    waiting = Waiting(10_000)
    ask_for([1.0] * 3, 0.005, waiting=waiting, queued_seconds=30.0)
    spans = waiting.spans("kind", 2.0)

    assert max(span.longest for span in spans) < 1.5


@pytest.mark.parametrize("seconds", [0.02, 0.15, 1.0])
@pytest.mark.parametrize("beat", [SESSION_BEAT_SECONDS, JOB_MODE_BEAT_SECONDS])
def test_a_long_queue_is_asked_no_more_than_by_the_client(seconds, beat):
    """However short the jobs are that stand in it."""
    waiting = Waiting(10_000)
    ask_for([seconds] * 3, 0.005, beat=beat, waiting=waiting)

    ours = ask_for([seconds], 0.005, beat=beat, waiting=waiting, queued_seconds=600.0)
    theirs = ask_as_the_client_does([seconds], 0.005, beat, queued_seconds=600.0)

    assert questions(ours) <= 1.1 * questions(theirs)


def test_a_job_whose_result_is_asked_for_late_tells_nothing():
    """It may have been over for long when somebody asked."""
    waiting = Waiting(10_000)
    with waiting.job(
        "kind", estimate_seconds=2.0, beat_seconds=0.1, submitted_at=0.0, now=60.0
    ) as wait:
        assert wait.next_question(60.0) <= 60.0
        wait.asked(60.0, 60.005, is_queued=False, is_over=True)

    assert [Span(0.0, 4.0005)] == waiting.spans("kind", 2.0)


def test_a_job_of_an_earlier_attempt_is_asked_for_at_once():
    """When it was submitted is not known; it is over, as like as not."""
    with Waiting(10_000).job(
        "kind", estimate_seconds=2.0, beat_seconds=0.1, submitted_at=None, now=5.0
    ) as wait:
        assert 5.0 == wait.next_question(5.0)


@given(
    limit=st.floats(0.5, 50.0),
    jobs=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=10),
)
def test_the_operators_limit_is_kept_whatever_is_expected(limit, jobs):
    """One job after the other, no two questions are closer than the limit says."""
    asked_at = [
        at for found in ask_for(jobs, 0.001, waiting=Waiting(limit)) for at in found.asked_at
    ]

    assert all(later - earlier >= 1 / limit - TOLERANCE for earlier, later in pairwise(asked_at))


def test_jobs_that_wait_side_by_side_share_the_limit():
    """Each of two is asked half as often."""
    waiting = Waiting(questions_per_second=10.0)
    options = {"estimate_seconds": 0.01, "beat_seconds": 0.1, "submitted_at": 0.0, "now": 0.0}
    with waiting.job("kind", **options) as one:
        one.asked(0.0, 0.001, is_queued=False, is_over=False)
        alone = one.next_question(0.001)
        with waiting.job("kind", **options):
            assert (0.1, 0.2) == (alone, one.next_question(0.001))


def test_the_beats_are_the_clients_own():
    """They are what it sleeps, in a session and outside."""
    assert (0.1, 0.5) == (beat_seconds(is_in_session=True), beat_seconds(is_in_session=False))
