"""The emulator's page, seen in a real browser."""

import pytest
import requests
from qiskit_ibm_runtime import Batch, Session

from prefect_qsession.emulator import (
    Answer,
    DeviceSettings,
    Drop,
    Emulator,
    EmulatorSettings,
    Fault,
    InstanceSettings,
    QueueSettings,
    TimingSettings,
)
from prefect_qsession.emulator.settings import RUNTIME_PREFIX
from tests.harness.waiting import wait_until
from tests.ui.browser import Page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

PHONE = (390, 844)

HOSTILE = '<img src=x onerror="window.robbed=1">'


def stays_within_its_width(page: Page) -> bool:
    """Whether nothing must be scrolled sideways, and no table is wider than its card."""
    return page.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth"
        " && [...document.querySelectorAll('section')].every((card) =>"
        " card.scrollWidth <= card.clientWidth"
        " && [...card.querySelectorAll('table')].every((table) => table.clientWidth <="
        " card.querySelector('.title').clientWidth))"
    )


def brightness(page: Page, of: str) -> float:
    """Return how bright a colour of the page's body is, from 0 to 255."""
    rgb = page.evaluate(f"getComputedStyle(document.body)['{of}'].match(/[0-9]+/g).map(Number)")
    return sum(rgb[:3]) / 3


def states(page: Page, table: str) -> list[str]:
    """Return the second column of a table, whose rows are newest first."""
    return [row[1] for row in page.rows(table)]


def queue_of(page: Page, device: str) -> str:
    """Return the length of a device's queue, as the page has it."""
    [row] = [row for row in page.rows("devices") if row[0].startswith(device)]
    return row[-1]


@pytest.fixture
def busy(make_bench):
    """Return a bench whose emulator has something of everything to show."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=3, seconds_each=40.0))
    emulator = bench.emulator
    emulator.faults.add(
        Fault("/sessions", Drop(after_work=True), method="POST", after_seconds=3600)
    )
    emulator.faults.add(Fault("/jobs/{id}/results", Answer(503), count=2, after_seconds=60))
    with Session(bench.backend) as closed:
        for _ in range(3):
            bench.submit(closed, environment={"job_tags": ["vqe"]})
    bench.clock.advance(240)
    cancelled = Session(bench.backend)
    for _ in range(2):
        bench.submit(cancelled)
    cancelled.cancel()
    with Batch(backend=bench.backend) as batch:
        for _ in range(2):
            bench.submit(batch)
    bench.clock.advance(200)
    kept = Session(bench.backend)
    for number in range(6):
        bench.submit(kept, environment={"job_tags": ["vqe", f"step-{number}"]})
    bench.submit()
    bench.clock.advance(217)
    return bench


def test_a_session_is_seen_to_open_to_work_and_to_close_without_a_reload(bench, visit):
    """Each step of a session and of its job is on the page a moment later."""
    page = visit(bench.emulator)
    page.evaluate("window.isTheSamePage = true")
    session = Session(bench.backend)
    wait_until(lambda: states(page, "sessions") == ["open"])
    job = bench.submit(session)
    wait_until(lambda: states(page, "sessions") == ["active"])
    wait_until(lambda: states(page, "jobs") == ["Running"])
    runs_now = page.rows("devices")[1][2]
    bench.clock.advance(10)
    wait_until(lambda: states(page, "jobs") == ["Completed"])
    session.close()
    wait_until(lambda: states(page, "sessions") == ["closed"])

    assert runs_now == f"{job.job_id()}\nheld by {session.session_id}"
    assert [
        [f"{session.session_id}\nibm_manila, session", "closed", "1", "0:10", "10.0"]
    ] == page.rows("sessions")
    assert [
        [f"{job.job_id()}\nsampler", "Completed", session.session_id, "0.0", "10.00"]
    ] == page.rows("jobs")
    assert page.evaluate("window.isTheSamePage")


def test_a_cancelled_session_and_its_jobs_are_told_from_a_closed_one(busy, visit):
    """How a session ended is a word, not only a colour."""
    page = visit(busy.emulator)

    assert {"active", "cancelled", "closed"} <= set(states(page, "sessions"))
    assert {"Queued", "Running", "Completed", "Cancelled"} == set(states(page, "jobs"))


def test_the_queue_of_others_is_seen(make_bench, visit):
    """A device's queue counts whoever waits; other tenants' jobs have no names."""
    bench = make_bench(queue=QueueSettings(jobs_ahead=3, seconds_each=60))
    bench.submit()

    page = visit(bench.emulator)

    assert "3" == queue_of(page, "ibm_manila")
    assert "0" == queue_of(page, "ibm_sherbrooke")
    assert "another tenant" == page.rows("devices")[1][2]


def test_the_clock_says_how_it_goes(make_emulator, bench, visit):
    """Whether time is moved by hand or runs faster than ours is beside it."""
    by_hand = visit(bench.emulator).text("#clock")
    scaled = visit(make_emulator(time_scale=60)).text("#clock")
    real = visit(make_emulator()).text("#clock")

    assert by_hand.endswith(" UTC, moved by hand")
    assert scaled.endswith(" UTC, 60 times as fast as ours")
    assert real.endswith(" UTC")


def test_faults_are_seen_and_do_not_strike_the_page(emulator, visit):
    """In an outage the page shows the outage."""
    emulator.faults.add(Fault("*", Answer(503)))
    requests.get(f"{emulator.runtime_url}/backends", timeout=5)

    assert [["* answer 503", "1"]] == visit(emulator).rows("faults")


def test_jobs_that_run_without_the_qpu_are_told_from_the_one_that_has_it(make_bench, visit):
    """In their classical part, or waiting for it, they run in lanes of their own."""
    timing = TimingSettings(fixed_seconds=10.0, classical_seconds=4.0)
    bench = make_bench(execution_lanes=5, timing=timing)
    first, *_ = (bench.submit() for _ in range(3))
    page = visit(bench.emulator)
    preparing = page.rows("devices")[1][2]
    bench.clock.advance(4)

    assert "nothing\n3 more without the QPU" == preparing
    wait_until(lambda: page.rows("devices")[1][2] == f"{first.job_id()}\n2 more without the QPU")


def test_an_emulator_that_is_gone_is_not_taken_for_a_quiet_one(simulators, visit):
    """The page says that what it shows is old."""
    with Emulator(EmulatorSettings(), simulators=simulators) as emulator:
        page = visit(emulator)

    wait_until(lambda: page.text("#contact") == "no answer; what is shown is old")


def test_a_phone_shows_everything_without_scrolling_sideways(busy, visit, pictures):
    """At 390 pixels every table has all its columns, with ids cut to eight characters."""
    page = visit(busy.emulator)
    page.resize(*PHONE, is_phone=True)
    page.photograph(pictures / "phone.png")
    newest = page.rows("sessions")[0]

    assert stays_within_its_width(page)
    assert busy.emulator.sessions[-1].id[:8] == newest[0].split("\n")[0]
    assert 5 == len(newest)


def test_a_phone_has_room_for_the_largest_numbers(busy, visit):
    """A session of eight hours and ten thousand jobs fits as well."""
    page = visit(busy.emulator)
    page.resize(*PHONE, is_phone=True)
    page.evaluate(
        "fetch('/emulator/overview').then((reply) => reply.json()).then((seen) => {"
        " const eight = { age_seconds: 28799, usage_seconds: 28799.9, jobs: 10000 };"
        " Object.assign(seen.sessions[0], eight, { waiting_jobs: 9999, accepting_jobs: false });"
        " Object.assign(seen.sessions[1], eight, { ended_by: 'usage_limit' });"
        " Object.assign(seen.jobs[0], { queue_seconds: 28799.9, qpu_seconds: 10800.25 });"
        " window.setTimeout = () => {}; show(seen); })"
    )

    assert "7:59:59" == page.rows("sessions")[0][3]
    assert stays_within_its_width(page)


def test_a_desktop_shows_whole_ids(busy, visit, pictures):
    """What is on the page can be looked up in a log."""
    page = visit(busy.emulator)
    page.resize(1280, 1000)
    page.photograph(pictures / "desktop.png")

    assert stays_within_its_width(page)
    assert busy.emulator.sessions[-1].id == page.rows("sessions")[0][0].split("\n")[0]


@pytest.mark.parametrize("size", [PHONE, (1280, 1000)])
def test_who_prefers_dark_sees_light_on_dark(busy, visit, pictures, size):
    """The reader's preference decides, without a switch."""
    page = visit(busy.emulator)
    page.resize(*size, is_phone=size == PHONE)
    page.prefer("light")
    light = (brightness(page, "color"), brightness(page, "backgroundColor"))
    page.prefer("dark")
    dark = (brightness(page, "color"), brightness(page, "backgroundColor"))
    page.photograph(pictures / f"dark-{size[0]}.png")
    page.prefer("light")

    assert light[0] + 150 < light[1]
    assert dark[0] > dark[1] + 150


def test_numbers_of_a_column_line_up(busy, visit):
    """Digits are equally wide, and columns of numbers end at the same place."""
    page = visit(busy.emulator)
    ends = page.evaluate(
        "[...document.querySelectorAll('#jobs tbody tr')].map((row) => {"
        " const range = document.createRange(); range.selectNodeContents(row.lastChild);"
        " return Math.round(range.getBoundingClientRect().right); })"
    )

    assert 1 == len(set(ends))
    assert "tabular-nums" == page.evaluate("getComputedStyle(document.body).fontVariantNumeric")


def test_every_table_is_named_and_its_columns_have_heads(busy, visit):
    """A reader who hears the page knows which table, and which column, a cell is in."""
    page = visit(busy.emulator)
    tables = page.evaluate(
        "[...document.querySelectorAll('table')].map((table) => ["
        " document.getElementById(table.getAttribute('aria-labelledby')).innerText,"
        " table.tHead.rows[0].cells.length,"
        " table.querySelectorAll('thead th[scope=col]').length])"
    )

    assert ["Devices", "Faults", "Sessions", "Jobs"] == [name for name, *_ in tables]
    assert all(columns == heads for _, columns, heads in tables)


def test_a_thousand_jobs_are_counted_and_the_latest_hundred_shown(make_emulator, visit):
    """The page stays as quick as with ten jobs."""
    paused = DeviceSettings("ibm_manila", "manila", status="paused")
    emulator = make_emulator(devices=(paused,))
    headers = {"Authorization": "apikey emulator-api-key", "Service-CRN": InstanceSettings().crn}
    body = {"program_id": "sampler", "backend": "ibm_manila", "params": {}}
    with requests.Session() as client:
        for _ in range(1000):
            client.post(f"{emulator.url}{RUNTIME_PREFIX}/jobs", json=body, headers=headers)

    page = visit(emulator)
    reply_ms, drawing_ms = page.evaluate(
        "(async () => { const began = performance.now();"
        " const seen = await (await fetch('/emulator/overview')).json();"
        " const came = performance.now(); show(seen);"
        " return [came - began, performance.now() - came]; })()"
    )

    assert "latest 100 of 1,000" == page.text("#jobs-title + span")
    assert "1,000" == page.text("#totals div:nth-child(2) dd")
    assert [job.id for job in emulator.jobs[:-101:-1]] == [row[0][:20] for row in page.rows("jobs")]
    assert stays_within_its_width(page)
    # A second passes between two looks; this machine may be busy with other tests.
    assert reply_ms + drawing_ms < 1000


def test_open_sessions_are_shown_before_closed_ones(make_bench, visit):
    """A session that was left open is not pushed off the page by those that came later."""
    bench = make_bench()
    kept = Session(bench.backend)
    for _ in range(60):
        Session(bench.backend).close()
    page = visit(bench.emulator)

    assert "latest 50 of 61" == page.text("#sessions-title + span")
    assert kept.session_id == page.rows("sessions")[0][0][:36]


@pytest.mark.parametrize("size", [PHONE, (1280, 1000)])
def test_names_that_are_markup_are_shown_as_they_are(make_bench, visit, size):
    """Tags and devices are named by others; nothing of them is run, and nothing breaks the page."""
    hostile_device = DeviceSettings(HOSTILE + "x" * 80, "manila")
    bench = make_bench(devices=(DeviceSettings("ibm_manila", "manila"), hostile_device))
    long_tag = "y" * 86
    bench.submit(environment={"job_tags": [HOSTILE, long_tag]})

    page = visit(bench.emulator)
    page.resize(*size, is_phone=size == PHONE)

    assert HOSTILE in page.rows("devices")[1][0]
    assert f"sampler, ibm_manila, {HOSTILE}, {long_tag}" in page.rows("jobs")[0][0]
    assert page.evaluate("window.robbed") is None
    assert 0 == page.evaluate("document.images.length")
    assert stays_within_its_width(page)


def test_without_control_there_is_no_page(make_emulator):
    """Its address is then as unknown as any other, in the form of the service's errors."""
    emulator = make_emulator(control=False)

    for path in ("/", "/emulator/overview"):
        answer = requests.get(emulator.url + path, timeout=5)
        unknown = requests.get(f"{emulator.url}/nonsense", timeout=5)

        assert 404 == answer.status_code
        assert unknown.json()["errors"] == answer.json()["errors"]


def test_the_page_loads_nothing_from_elsewhere(emulator, visit):
    """It works without a network, and the browser is told to refuse anything else."""
    policy = requests.get(emulator.url, timeout=5).headers["Content-Security-Policy"]
    page = visit(emulator)
    loaded = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")

    assert "default-src 'none'" in policy
    assert {f"{emulator.url}/emulator/overview"} == set(loaded)
