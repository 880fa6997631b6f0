"""The session report, fed with facts and times by hand."""

import base64
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from prefect_qsession.config.modes import Mode
from prefect_qsession.reporting.report.curve import curve
from prefect_qsession.reporting.report.histories import BudgetUse, Stage
from prefect_qsession.reporting.report.markdown import markdown
from prefect_qsession.reporting.report.model import RunReport
from prefect_qsession.reporting.report.series import MOST_POINTS, Series
from prefect_qsession.reporting.report.svg import WIDTH, ticks, time_ticks
from prefect_qsession.reporting.report.tables import job_rows
from prefect_qsession.reporting.report.timeline import Bar, merged, timeline
from prefect_qsession.reporting.report.words import duration, plain
from prefect_qsession.reporting.run_events import (
    RUN_EVENTS,
    BudgetWarningEvent,
    JobCancelledEvent,
    JobCompletedEvent,
    JobFailedEvent,
    JobReattachedEvent,
    JobRunningEvent,
    JobSubmittedEvent,
    LeftOpenEvent,
    LongQueueEvent,
    LostEvent,
    ModeFallbackEvent,
    OpenedEvent,
    OpeningEvent,
    RefusedEvent,
    ReleasedEvent,
    ReleasingEvent,
    StartedEvent,
    TrackedEvent,
)
from prefect_qsession.states import Release, SessionState

BEGAN = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
OPENED = OpenedEvent("s1", Mode.SESSION, "ibm_manila", 3600)


def after(seconds: float) -> datetime:
    """Return a time so long after the beginning."""
    return BEGAN + timedelta(seconds=seconds)


def told(report: RunReport, *facts) -> RunReport:
    """Tell a report of facts, each with its time, and of what follows from them."""
    for seconds, fact in facts:
        for news in report.note(fact, after(seconds)):
            report.note(news, after(seconds))
    return report


def iterated(report: RunReport, rounds: int, *, wait: float = 30.0) -> RunReport:
    """Have a report see a session whose first job waits, and so many jobs one after the other."""
    told(report, (0, OpeningEvent()), (1, OPENED))
    for number in range(rounds):
        at = 1 + (wait if number else 0) + 2 * number
        over = 1 + wait + 2 * number + 1
        job = f"job{number}"
        told(report, (at, JobSubmittedEvent(job, "s1", "estimator")))
        told(report, (over - 1, JobRunningEvent(job)), (over, JobCompletedEvent(job)))
        told(report, (over, TrackedEvent({"energy": -1.0 + 1 / (number + 1)}, number + 1, rounds)))
    return report


def text_of(report: RunReport, seconds: float = 100) -> str:
    """Return what a reader reads of the report, without its pictures."""
    return re.sub(r"\(data:[^)]*\)", "()", markdown(report, after(seconds)))


def pictures(report: RunReport, seconds: float = 100) -> dict[str, ET.Element]:
    """Return the pictures of a report by their titles."""
    found = re.findall(
        r"!\[([^]]*)\]\(data:image/svg\+xml;base64,([^)]*)\)", markdown(report, after(seconds))
    )
    return {title: ET.fromstring(base64.b64decode(data)) for title, data in found}  # noqa: S314


# -- facts


def test_a_session_starts_when_its_first_job_is_seen_running():
    """The wait is from the submission of its first job."""
    report = told(RunReport(), (0, OpeningEvent()), (1, OPENED))

    report.note(JobSubmittedEvent("a", "s1", "sampler"), after(2))
    news = report.note(JobRunningEvent("a"), after(44))

    assert [StartedEvent("s1", 42.0)] == news


def test_a_result_says_as_well_that_the_session_has_started():
    """Not every job is seen running."""
    report = told(RunReport(), (1, OPENED), (2, JobSubmittedEvent("a", "s1", "sampler")))

    assert [StartedEvent("s1", 3.0)] == report.note(JobCompletedEvent("a"), after(5))


@pytest.mark.parametrize("end", [JobFailedEvent("a", "why"), JobCancelledEvent("a", "why")])
def test_a_job_without_a_result_says_nothing_of_the_queue(end):
    """It may have been cancelled while it waited."""
    report = told(RunReport(), (1, OPENED), (2, JobSubmittedEvent("a", "s1", "sampler")))

    assert [] == report.note(end, after(5))


def test_a_session_starts_once():
    """Later jobs are no news."""
    report = told(RunReport(), (1, OPENED), (2, JobSubmittedEvent("a", "s1", "sampler")))
    told(report, (3, JobRunningEvent("a")))

    assert [] == report.note(JobCompletedEvent("a"), after(5))


@pytest.mark.parametrize(("seconds", "is_news"), [(3601.9, False), (3602.0, True), (9999.0, True)])
def test_a_queue_is_long_from_an_hour_on(seconds, is_news):
    """Exactly."""
    report = told(RunReport(), (1, OPENED), (2, JobSubmittedEvent("a", "s1", "sampler")))

    news = report.look(after(seconds))

    assert ([LongQueueEvent(seconds - 2, session_id="s1")] if is_news else []) == news


def test_a_long_queue_is_told_once():
    """Not at every look."""
    report = told(RunReport(), (1, OPENED), (2, JobSubmittedEvent("a", "s1", "sampler")))

    assert [1, 0, 0] == [len(report.look(after(seconds))) for seconds in (4000, 4005, 9000)]


def test_job_by_job_each_job_may_queue_long():
    """There is no session that would wait for them."""
    report = told(RunReport(), (1, OpenedEvent("jobs", Mode.JOB, "ibm_manila")))
    told(
        report,
        (2, JobSubmittedEvent("a", "jobs", "sampler")),
        (4, JobSubmittedEvent("b", "jobs", "x")),
    )
    told(report, (9, JobRunningEvent("b")))

    assert [LongQueueEvent(3998.0, job_id="a")] == report.look(after(4000))


@pytest.mark.parametrize(
    ("facts", "wants"),
    [
        ([], False),
        ([OpeningEvent()], False),
        ([OpeningEvent(), OPENED], False),
        ([OPENED, JobSubmittedEvent("a", "s1", "x")], True),
        ([OPENED, JobSubmittedEvent("a", "s1", "x"), JobRunningEvent("a")], False),
        ([OPENED, JobSubmittedEvent("a", "s1", "x"), LostEvent("s1", "why")], False),
    ],
)
def test_time_alone_matters_only_while_something_queues(facts, wants):
    """Else a thread would wake for nothing."""
    report = told(RunReport(), *((index, fact) for index, fact in enumerate(facts)))

    assert wants == report.wants_looks


ENDS = {
    LostEvent("s1", "maintenance"): Stage.LOST,
    ReleasingEvent("s1", Release.CLOSE): Stage.RELEASING,
    ReleasedEvent("s1", SessionState.CLOSED): Stage.CLOSED,
    ReleasedEvent("s1", SessionState.CANCELLED): Stage.CANCELLED,
    LeftOpenEvent("s1", "no answer", 3600): Stage.LEFT_OPEN,
}


@pytest.mark.parametrize("fact", ENDS)
def test_every_end_of_a_session_is_a_stage(fact):
    """Also told twice it is the same."""
    report = told(RunReport(), (1, OPENED), (5, fact), (6, fact))

    assert [Stage.QUEUED, ENDS[fact]] == [stage for stage, _ in report.sessions[0].changes]


def test_a_session_that_was_refused_is_shown_with_the_reason():
    """Nothing else would tell on the run's page why there is none."""
    report = told(RunReport(), (0, OpeningEvent()), (2, RefusedEvent("no | such\nplan")))

    assert "**refused**" in text_of(report)
    assert "The session is refused: no \\| such plan" in text_of(report)


def test_a_session_opened_anew_is_another_one():
    """Each with its own life."""
    report = told(RunReport(), (0, OpeningEvent()), (1, OPENED), (9, LostEvent("s1", "why")))
    told(report, (10, OpeningEvent()), (11, OpenedEvent("s2", Mode.SESSION, "ibm_manila")))

    assert [("s1", "lost"), ("s2", "queued")] == [
        (life.session_id, str(life.stage)) for life in report.sessions
    ]


@pytest.mark.parametrize("kind", RUN_EVENTS, ids=lambda kind: kind.name)
def test_a_fact_about_what_is_not_known_changes_nothing_else(kind):
    """The report begins when it begins, and never raises."""
    examples = {
        **{type(fact): fact for fact in ENDS},
        OpeningEvent: OpeningEvent(),
        OpenedEvent: OPENED,
        RefusedEvent: RefusedEvent("why"),
        StartedEvent: StartedEvent("s1", 1.0),
        ModeFallbackEvent: ModeFallbackEvent(Mode.SESSION, Mode.BATCH, "why"),
        LongQueueEvent: LongQueueEvent(3600.0, "s1"),
        BudgetWarningEvent: BudgetWarningEvent("qpu_budget", 8.0, 10.0),
        JobSubmittedEvent: JobSubmittedEvent("a", "s1", "sampler"),
        JobReattachedEvent: JobReattachedEvent("a", "sampler"),
        JobRunningEvent: JobRunningEvent("a"),
        JobCompletedEvent: JobCompletedEvent("a"),
        JobFailedEvent: JobFailedEvent("a", "why"),
        JobCancelledEvent: JobCancelledEvent("a", "why"),
        TrackedEvent: TrackedEvent({"energy": -1.0}, 1, 3),
    }

    assert text_of(told(RunReport(), (0, examples[kind]))).startswith("# Session report\n\n**")


# -- what is read


def test_the_report_says_what_there_is_to_say():
    """Of a session as it should be."""
    report = iterated(RunReport(), 5)
    for number in range(4):
        report.charged(f"job{number}", 1.5)
    told(report, (50, ReleasingEvent("s1", Release.CLOSE)))
    told(report, (51, ReleasedEvent("s1", SessionState.CLOSED, usage_seconds=12.0)))
    report.budgets = [BudgetUse("QPU budget", 6.0, 60.0)]

    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text_of(report), re.MULTILINE))

    assert {
        "Session": "`s1`",
        "Mode": "session, as asked for",
        "Backend": "ibm_manila",
        "Queue wait": "30 s until its first job started",
        "Jobs": "5: 5 completed",
        "QPU time": "6.0 s, charged for 4 jobs",
        "Session time": "12.0 s billed, by the service's count",
        "QPU budget": "10% used: 6.0 s of 1 min",
        "Saved against job mode": "about 2 min of queueing",
    }.items() <= rows.items()
    assert "**closed** · iteration 5 of 5 at the most · as of 12:01:40 UTC" in text_of(report)


def test_the_estimate_says_how_it_was_made():
    """It is one, and no more."""
    [said] = re.findall(r"^\*(.*)\*$", text_of(iterated(RunReport(), 5)), re.MULTILINE)

    assert said.startswith("What was saved is an estimate")
    assert "4 later rounds" in said


def test_jobs_that_run_together_would_have_queued_together():
    """A gradient of forty jobs is one round."""
    report = told(RunReport(), (1, OPENED))
    for number in range(40):
        told(report, (2, JobSubmittedEvent(f"job{number}", "s1", "estimator")))
    told(report, *((40, JobCompletedEvent(f"job{number}")) for number in range(40)))

    assert "Saved" not in text_of(report)


def test_without_a_queue_nothing_to_speak_of_was_saved():
    """A session is not worth its price then, and the report does not say so."""
    assert "| next to nothing |" in text_of(iterated(RunReport(), 5, wait=0.2))


def test_a_fallback_says_which_mode_and_why():
    """In the table and, with the service's words, below it."""
    report = RunReport(asked_mode=Mode.AUTO)
    told(
        report, (0, OpeningEvent()), (1, ModeFallbackEvent(Mode.SESSION, Mode.BATCH, "Code 1352."))
    )
    told(report, (2, OpenedEvent("b1", Mode.BATCH, "ibm_manila", 600)))

    assert "| Mode | batch, because the plan refused a session |" in text_of(report)
    assert "Why not a session: Code 1352." in text_of(report)


def test_a_job_taken_up_from_an_earlier_attempt_is_counted_apart():
    """It is not paid again, and not drawn as if it had run now."""
    report = told(
        RunReport(), (1, JobReattachedEvent("a", "estimator")), (2, JobCompletedEvent("a"))
    )

    assert "1 taken up from an earlier attempt, not paid again" in text_of(report)
    assert ["earlier"] == [row["attempt"] for row in job_rows(report)]


def test_a_start_that_is_told_late_stands_where_it_belongs():
    """Workers tell it after the flow's process has told of the end, by a clock of their own."""
    report = told(
        RunReport(),
        (0, OpeningEvent()),
        (1, OPENED),
        (9, ReleasingEvent("s1", Release.CLOSE)),
        (10, ReleasedEvent("s1", SessionState.CLOSED)),
        (2, JobSubmittedEvent("a", "s1", "sampler")),
        (5, JobRunningEvent("a")),
        (12, JobCompletedEvent("a")),
    )

    [life] = report.sessions
    assert ["opening", "queued", "active", "releasing", "closed"] == [
        str(stage) for stage, _ in life.changes
    ]
    assert 3.0 == life.queue_seconds
    assert "**closed**" in text_of(report)


def test_iterations_of_workers_are_counted_as_they_arrive():
    """A worker knows of no other's, so it gives them no number."""
    report = told(
        RunReport(),
        (1, TrackedEvent({}, None, 4)),
        (2, TrackedEvent({"energy": -1.0})),
        (3, TrackedEvent({"energy": -1.5})),
    )

    assert 50.0 == report.progress
    assert [(1, -1.0), (2, -1.5)] == report.series["energy"].points


PAGE = "https://quantum.cloud.ibm.com/workloads/s1"


@pytest.mark.parametrize("page", [None, PAGE])
def test_links_are_only_where_they_lead_somewhere(page):
    """To the session's and the job's own page at IBM; nowhere for the emulator."""
    opened = OpenedEvent("s1", Mode.SESSION, "ibm_manila", 3600, page)
    report = told(RunReport(), (1, opened), (2, JobSubmittedEvent("a", "s1", "estimator")))

    links = re.findall(r"\]\((https:[^)]*)\)", text_of(report))

    assert ([page, "https://quantum.cloud.ibm.com/workloads/a"] if page else []) == links
    assert bool(page) == ("page" in job_rows(report)[0])


def test_sessions_of_earlier_attempts_are_not_forgotten():
    """A later attempt has a report of its own, in the place of theirs."""
    first = told(RunReport(), (1, OPENED), (5, ReleasedEvent("s1", SessionState.CLOSED)))
    second = RunReport(earlier=first.summary())
    told(second, (9, OpenedEvent("s2", Mode.SESSION, "ibm_manila")))

    assert "| `s1` | session | ibm_manila | closed |  |" in text_of(second)
    assert ["s1", "s2"] == [it["session_id"] for it in second.summary()]
    assert [True, False] == [Stage(it["stage"]).is_over for it in second.summary()]


@pytest.mark.parametrize(
    ("iteration", "total", "percent"),
    [(None, None, None), (3, None, None), (None, 4, 0.0), (3, 4, 75.0), (9, 4, 100.0)],
)
def test_progress_is_known_where_the_number_of_iterations_is(iteration, total, percent):
    """And never beyond the end."""
    report = told(RunReport(), (1, TrackedEvent({}, iteration, total)))

    assert percent == report.progress


# -- pictures


def test_the_timeline_has_a_bar_for_each_stage_as_long_as_it_lasted():
    """In their order, from the left to the right."""
    report = iterated(RunReport(), 2)
    told(report, (40, ReleasingEvent("s1", Release.CLOSE)))
    told(report, (41, ReleasedEvent("s1", SessionState.CLOSED)))

    svg = pictures(report)["State timeline"]

    session = [bar for bar in svg if bar.tag.endswith("rect") and bar.get("y") == "30.0"]
    widths = [float(bar.get("width")) for bar in session]
    inside = sum(widths)
    assert [1 / 41, 30 / 41, 9 / 41, 1 / 41] == pytest.approx(
        [width / inside for width in widths], abs=0.01
    )
    words = [element.text for element in svg if element.tag.endswith("text")]
    assert {"opening", "queued", "active", "releasing", "closed"} <= set(words)


def test_a_curve_has_every_value_and_says_the_last():
    """One picture for each name that was tracked."""
    shown = pictures(iterated(RunReport(), 7))

    svg = shown["Convergence of energy"]
    [line] = [element for element in svg if element.tag.endswith("polyline")]
    assert 7 == len(line.get("points").split())
    assert "-0.857143" in [element.text for element in svg]


def test_a_value_that_is_not_finite_leaves_a_gap_and_no_error():
    """Some optimisers try them."""
    series = Series()
    for iteration, value in enumerate([1.0, float("nan"), float("inf"), 2.0]):
        series.add(iteration, value)

    assert [(0, 1.0), (3, 2.0)] == series.points
    assert curve("energy", series) is not None


@pytest.mark.parametrize("values", [[0.0], [-1.5], [3.0, 3.0], [1e-12, 2e-12], [1e9, -1e9]])
def test_any_values_make_a_picture(values):
    """One, equal ones, tiny and huge ones."""
    series = Series()
    for iteration, value in enumerate(values):
        series.add(iteration, value)

    picture = curve("x", series)

    assert picture is not None
    places = re.findall(r'c[xy]="([^"]+)"', picture.svg())
    assert all(0 <= float(place) <= WIDTH for place in places)


def test_a_run_of_ten_thousand_iterations_is_still_a_small_report():
    """Its curve keeps the highest, the lowest and the latest value."""
    series, report = Series(), RunReport()
    for iteration in range(10_000):
        value = -5.0 if iteration == 1234 else 7.0 if iteration == 4321 else 1.0
        series.add(iteration, value)
        told(report, (iteration, TrackedEvent({"energy": value}, iteration, 10_000)))

    values = [value for _, value in series.points]
    assert len(series.points) <= MOST_POINTS
    assert (-5.0, 7.0, (9999, 1.0)) == (min(values), max(values), series.points[-1])
    assert len(markdown(report, after(10_000))) < 60_000


def test_bars_too_narrow_to_be_told_apart_are_drawn_as_one():
    """Ten thousand jobs are no ten thousand shapes."""
    narrow = [Bar(100 + 0.01 * index, 100.01 + 0.01 * index, "blue") for index in range(50)]

    assert [Bar(100, pytest.approx(100.5), "blue")] == list(merged(narrow))
    assert 2 == len(list(merged([Bar(0, 5, "blue"), Bar(5, 9, "red")])))


def test_before_anything_happened_there_is_no_picture():
    """And the report says that there is no session."""
    assert timeline(RunReport(), BEGAN) is None
    assert "no session yet" in text_of(RunReport())


def test_names_are_text_in_a_picture_whatever_they_contain():
    """A user's name for a number is no markup."""
    report = told(RunReport(), (1, TrackedEvent({"<b>&": 1.0}, 1, None)))

    assert "<b>&" in [element.text for element in pictures(report)["Convergence of <b>&"]]


# -- words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_times_are_as_exact_as_one_cares(seconds, said):
    """Seconds matter only where there are few."""
    assert said == duration(seconds)


def test_text_stays_in_its_cell():
    """A bar or a line's end would begin another one."""
    assert "a \\| b c &lt;d>" == plain("a | b\nc  <d>")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-1.2, -0.6, [-1.2, -1.0, -0.8, -0.6]), (3, 3, [3])],
)
def test_axes_have_round_numbers(low, high, expected):
    """In steps of one, two or five."""
    assert expected == pytest.approx(ticks(low, high))


@pytest.mark.parametrize("seconds", [1, 7, 59, 61, 3599, 40_000, 86_400 * 30])
def test_a_time_axis_has_few_ticks_from_zero_on(seconds):
    """However long it is."""
    found = time_ticks(seconds)

    assert found[0] == 0
    assert len(found) <= 8
