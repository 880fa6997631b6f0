"""What is found, and what it means."""

from dataclasses import replace
from datetime import timedelta

import pytest
from packaging.requirements import Requirement

from prefect_qsession.config.modes import Mode
from prefect_qsession.config.options import SessionOptions
from prefect_qsession.config.tested import NEWEST_TESTED_CLIENT
from prefect_qsession.doctor import CheckStanding
from prefect_qsession.doctor.findings import (
    judge_clocks,
    judge_heartbeat_automation,
    judge_ledger,
    judge_mode,
    judge_reaper,
    judge_server_version,
    judge_usage,
    judge_version,
)
from prefect_qsession.ibm.codes import LONGEST_BATCH_SECONDS
from prefect_qsession.ibm.records import InstanceDetails
from prefect_qsession.settings import QSessionSettings

OK, WARNING, PROBLEM, SKIPPED = CheckStanding


def instance_of(plan, consumed_seconds=0, limit_seconds=None, *, limit_reached=False):
    """Return an instance of this plan."""
    return InstanceDetails(
        "mine",
        plan,
        None if plan is None else plan not in LONGEST_BATCH_SECONDS,
        LONGEST_BATCH_SECONDS.get(plan),
        consumed_seconds,
        limit_seconds,
        limit_reached,
    )


SERVED, SCHEDULED, FORGOTTEN = ("a", True, True), ("b", True, False), ("c", False, True)


@pytest.mark.parametrize(
    ("requirement", "installed", "standing", "found"),
    [
        ("scipy>=1.14", "1.14.0", OK, "1.14.0"),
        ("pydantic<3,>=2.10", "3.0.0b1", PROBLEM, "<3,>=2.10 is needed"),
        ("qiskit-ibm-runtime<1,>=0.50", "0.49.0", PROBLEM, "<1,>=0.50 is needed"),
        ("qiskit-ibm-runtime<1,>=0.50", f"{NEWEST_TESTED_CLIENT}.9", OK, NEWEST_TESTED_CLIENT),
        ("prefect<4,>=3.8", None, PROBLEM, "not installed"),
    ],
)
def test_a_version_is_compared_with_what_is_declared(requirement, installed, standing, found):
    """One that does not fit comes with the command that mends it."""
    finding = judge_version(Requirement(requirement), installed)

    assert standing is finding.standing
    assert found in finding.found
    assert finding.advice == (
        None if standing is OK else f"pip install '{Requirement(requirement)}'"
    )


def test_a_client_that_is_newer_than_the_tested_ones_is_told_and_not_refused():
    """With what helps if it does not work."""
    finding = judge_version(Requirement("qiskit-ibm-runtime<1,>=0.50"), "0.99.1")

    assert WARNING is finding.standing
    assert f"newer than the newest tested, {NEWEST_TESTED_CLIENT}" in finding.found
    assert "QSESSION_PUBLIC_NAMES_ONLY=1" in finding.advice


@pytest.mark.parametrize(
    ("server", "client", "standing"),
    [
        ("3.8.8", "3.8.8", OK),
        ("3.9.0", "3.8.8", OK),
        ("3.8.1", "3.8.8", OK),
        ("3.7.9", "3.8.8", WARNING),
        ("2.20.0", "3.8.8", WARNING),
        ("3.10.0", "3.9.0", OK),
    ],
)
def test_a_server_may_be_newer_than_its_client(server, client, standing):
    """The other way round it may not understand what is asked."""
    assert standing is judge_server_version(server, client).standing


@pytest.mark.parametrize(
    ("seconds", "standing", "found"),
    [
        ((0.0, 30.0), OK, "as that of API and service"),
        ((0.4, 31.0), WARNING, "31 s ahead of that of service"),
        ((-3600.0, 31.0), WARNING, "3600 s behind that of API"),
        ((-30.0, -30.0), OK, "as that of API and service"),
    ],
)
def test_the_clock_that_differs_most_counts(seconds, standing, found):
    """Half a minute either way may be the network and the seconds' fractions."""
    api, service = (timedelta(seconds=each) for each in seconds)
    finding = judge_clocks({"API": api, "service": service})

    assert (standing, found) == (finding.standing, finding.found)


def test_no_clock_is_no_judgement():
    """A proxy may take away what a server says of the time."""
    assert SKIPPED is judge_clocks({}).standing


@pytest.mark.parametrize(
    ("limit", "reached", "standing", "found"),
    [
        (None, False, OK, "12 s used"),
        (600, False, OK, "12 s used of 600 s"),
        (10, True, PROBLEM, "12 s used of 10 s: the limit is reached, and no job runs"),
    ],
)
def test_an_instance_without_time_runs_nothing(limit, reached, standing, found):
    """The service itself says whether the limit is reached."""
    instance = instance_of("open", consumed_seconds=12, limit_seconds=limit, limit_reached=reached)
    finding = judge_usage(instance)

    assert (standing, found) == (finding.standing, finding.found)


@pytest.mark.parametrize("max_time", ["10m", "1h"])
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("plan", [None, "open", "pay-as-you-go", "flex", "premium"])
def test_the_verdict_on_every_mode_in_every_plan(plan, mode, max_time):
    """Only the Open plan refuses: sessions, and batches of more than ten minutes."""
    options: SessionOptions = {"mode": mode, "max_time": max_time}
    expected = {
        ("open", Mode.SESSION, "10m"): PROBLEM,
        ("open", Mode.SESSION, "1h"): PROBLEM,
        ("open", Mode.BATCH, "1h"): PROBLEM,
        ("open", Mode.AUTO, "1h"): WARNING,
    }.get((plan, mode, max_time), OK)
    finding = judge_mode(instance_of(plan), QSessionSettings().resolve(options))

    assert expected is finding.standing
    assert (expected is OK) == (finding.advice is None)


def test_jobs_one_by_one_may_be_meant():
    """Who falls back on jobs alone is not told that there are no batches."""
    policy = replace(QSessionSettings().resolve({"mode": "auto"}), fallback=(Mode.JOB,))

    assert OK is judge_mode(instance_of("open"), policy).standing


@pytest.mark.parametrize(
    ("deployments", "standing", "found"),
    [
        ([], WARNING, "not deployed"),
        ([SERVED], OK, "a, scheduled and served"),
        ([FORGOTTEN, SCHEDULED, SERVED], OK, "c, b, a, scheduled and served"),
        ([SCHEDULED], WARNING, "b: scheduled, but nobody runs it"),
        ([FORGOTTEN], WARNING, "c: no schedule is active"),
    ],
)
def test_a_reaper_needs_a_schedule_and_somebody_who_runs_it(deployments, standing, found):
    """One deployment that has both is enough."""
    finding = judge_reaper(deployments)

    assert (standing, found) == (finding.standing, finding.found)


def test_what_watches_over_sessions_is_told_by_name_or_missed():
    """Without it, flow runs of dead machines stay Running; sessions left open are counted."""
    assert OK is judge_heartbeat_automation(["lost", "late"]).standing
    assert WARNING is judge_heartbeat_automation([]).standing
    assert OK is judge_ledger(0, 0).standing
    assert OK is judge_ledger(3, 0).standing
    assert "2 of 3 recorded sessions left open" == judge_ledger(3, 2).found
