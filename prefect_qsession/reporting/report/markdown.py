"""The session report as markdown, with its pictures inside."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from prefect_qsession.config.modes import Mode
from prefect_qsession.reporting.report.curve import curve
from prefect_qsession.reporting.report.histories import JobStage, Stage, WorkloadHistory
from prefect_qsession.reporting.report.model import RunReport
from prefect_qsession.reporting.report.savings import savings
from prefect_qsession.reporting.report.tables import job_page
from prefect_qsession.reporting.report.timeline import TITLE, timeline
from prefect_qsession.reporting.report.words import count, duration, plain

MOST_CURVES = 4
LATEST_JOBS = 5


def markdown(report: RunReport, now: datetime) -> str:
    """Return the report as it stands at a time."""
    return "\n\n".join(_sections(report, now)) + "\n"


def _sections(report: RunReport, now: datetime) -> Iterator[str]:
    yield "# Session report"
    yield _headline(report, now)
    if picture := timeline(report, now):
        yield picture.markdown(TITLE)
    for name in list(report.series)[:MOST_CURVES]:
        if drawn := curve(name, report.series[name]):
            yield drawn.markdown(f"Convergence of {name}")
    yield "\n".join(["| | |", "|---|---|", *(f"| {a} | {b} |" for a, b in _rows(report, now))])
    yield from _notes(report)
    if report.jobs:
        yield "\n".join(_latest_jobs(report))
    if report.earlier:
        yield "\n".join(_earlier(report))


def _headline(report: RunReport, now: datetime) -> str:
    history = report.current
    stage = f"**{_stage(history)}**" if history else "**no session yet**"
    iteration = "" if report.iteration is None else f" · iteration {report.iteration}"
    if iteration and report.total:
        iteration += f" of {report.total} at the most"
    return f"{stage}{iteration} · as of {now:%H:%M:%S} UTC"


def _stage(history: WorkloadHistory) -> str:
    if history.mode is Mode.JOB and history.stage is Stage.ACTIVE:
        return "job by job"
    return str(history.stage)


def _rows(report: RunReport, now: datetime) -> Iterator[tuple[str, str]]:
    history = report.current
    if history is not None:
        yield from _session_rows(report, history, now)
    yield "Jobs", _jobs(report)
    charged = [job.charged_seconds for job in report.jobs.values() if job.charged_seconds]
    if charged:
        yield "QPU time", f"{sum(charged):.1f} s, charged for {count(len(charged), 'job')}"
    if history is not None:
        yield from _session_time(report, history, now)
    for use in report.budgets:
        share = use.spent_seconds / use.cap_seconds
        spent = f"{use.spent_seconds:.1f} s of {duration(use.cap_seconds)}"
        yield use.name, f"{share:.0%} used: {spent}"
    if saved := savings(report):
        yield "Saved against job mode", saved[0]


def _session_rows(
    report: RunReport, history: WorkloadHistory, now: datetime
) -> Iterator[tuple[str, str]]:
    if history.session_id and history.mode is not Mode.JOB:
        yield str(history.mode).capitalize(), _linked(history.session_id, history.page)
    yield "Mode", _mode(report, history)
    if history.backend:
        yield "Backend", history.backend
    yield from _queue(report, history, now)


def _mode(report: RunReport, history: WorkloadHistory) -> str:
    asked = report.asked_mode
    if history.mode is None:
        return f"{asked}, as asked for"
    if report.refusals:
        refused = ", ".join(f"a {it.mode}" for it in report.refusals)
        return f"{history.mode}, because the plan refused {refused}"
    why = "the first that the plan allows" if asked is Mode.AUTO else "as asked for"
    return f"{history.mode}, {why}"


def _notes(report: RunReport) -> Iterator[str]:
    """Say what is longer than a cell, which V1 of the UI cuts off."""
    for it in report.refusals:
        yield f"Why not a {it.mode}: {plain(it.reason)}"
    for history in report.sessions:
        if history.reason:
            name = f"Session `{history.session_id}`" if history.session_id else "The session"
            yield f"{name} is {history.stage}: {plain(history.reason)}"
    if saved := savings(report):
        yield f"*{saved[1]}*"


def _queue(report: RunReport, history: WorkloadHistory, now: datetime) -> Iterator[tuple[str, str]]:
    if history.queue_seconds is not None:
        yield "Queue wait", f"{duration(history.queue_seconds)} until its first job started"
    elif history.stage is Stage.QUEUED and history.first_job_at is not None:
        waits = duration((now - history.first_job_at).total_seconds())
        yield "Queue wait", f"{waits} so far"
    elif history.mode is Mode.JOB:
        waits_of = [
            (job.running_at - job.at).total_seconds()
            for job in report.jobs.values()
            if job.running_at and not job.is_reattached
        ]
        if waits_of:
            mean = duration(sum(waits_of) / len(waits_of))
            yield "Queue wait", f"{mean} for each of {count(len(waits_of), 'job')}, on average"


def _jobs(report: RunReport) -> str:
    stages = Counter(job.stage for job in report.jobs.values())
    said = [f"{stages[stage]} {stage}" for stage in JobStage if stages[stage]]
    taken_up = sum(job.is_reattached for job in report.jobs.values())
    if taken_up:
        said.append(f"{taken_up} taken up from an earlier attempt, not paid again")
    return ": ".join(filter(None, (str(len(report.jobs)), ", ".join(said))))


def _session_time(
    report: RunReport, history: WorkloadHistory, now: datetime
) -> Iterator[tuple[str, str]]:
    known = [it.usage_seconds for it in report.sessions if it.usage_seconds is not None]
    active_since = history.since(Stage.ACTIVE)
    if known:
        yield "Session time", f"{sum(known):.1f} s billed, by the service's count"
    elif active_since and not history.stage.is_over and history.mode is Mode.SESSION:
        active = duration((now - active_since).total_seconds())
        yield "Session time", f"{active} since its first job started; the service counts exactly"


def _latest_jobs(report: RunReport) -> Iterator[str]:
    pages = {history.session_id: history.page for history in report.sessions}
    yield "| latest jobs | program | state | QPU |"
    yield "|---|---|---|---|"
    for job in reversed(list(report.jobs.values())[-LATEST_JOBS:]):
        page = pages.get(job.session_id)
        link = _linked(job.job_id, job_page(page, job.job_id) if page else None)
        charged = "" if job.charged_seconds is None else f"{job.charged_seconds:.1f} s"
        yield f"| {link} | {job.program} | {job.stage} | {charged} |"


def _earlier(report: RunReport) -> Iterator[str]:
    yield "| sessions of earlier attempts | mode | backend | state | billed |"
    yield "|---|---|---|---|---|"
    for it in report.earlier:
        usage = f"{it['usage']} s" if it.get("usage") else ""
        yield (
            f"| `{it.get('session_id')}` | {it.get('mode')} | {it.get('backend')} "
            f"| {it.get('stage')} | {usage} |"
        )


def _linked(name: str, page: str | None) -> str:
    return f"[`{name}`]({page})" if page else f"`{name}`"
