"""Faults as lines of text."""

import pytest
import requests

from prefect_qsession import cli
from prefect_qsession.emulator import (
    Answer,
    Delay,
    Drop,
    FailJob,
    Fault,
    Stall,
    fault_line,
    parse_fault,
)

LINES = {
    "* answer 503": Fault("*", Answer(503)),
    "POST /sessions answer 503 code=1999 retry_after_seconds=5 count=1": Fault(
        "/sessions", Answer(503, code=1999, retry_after_seconds=5), method="POST", count=1
    ),
    "POST /jobs drop after_work probability=0.125": Fault(
        "/jobs", Drop(after_work=True), method="POST", probability=0.125
    ),
    "/jobs/{id}/cancel delay 1.5 after_work": Fault(
        "/jobs/{id}/cancel", Delay(1.5, after_work=True)
    ),
    "/identity/token drop": Fault("/identity/token", Drop()),
    "GET /jobs/* stall": Fault("/jobs/*", Stall(), method="GET"),
    "* stall 30 after_seconds=60 until_seconds=90.5": Fault(
        "*", Stall(30), after_seconds=60, until_seconds=90.5
    ),
    "POST /jobs fail_job 9707 count=1": Fault("/jobs", FailJob(9707), method="POST", count=1),
    "/jobs fail_job 1517 at_once 'reason=Wrong, isn\"t it'": Fault(
        "/jobs", FailJob(1517, reason='Wrong, isn"t it', at_once=True)
    ),
}


@pytest.mark.parametrize(("line", "fault"), LINES.items(), ids=LINES)
def test_a_line_and_its_fault_are_the_same(line, fault):
    """What is read from a line is written as that line again."""
    assert fault == parse_fault(line)
    assert line == fault_line(fault)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "must be"),
        ("POST", "must be"),
        ("POST /jobs", "must be"),
        ("FETCH * drop", "wrong place"),
        ("jobs drop", "route"),
        ("* explode", "effect"),
        ("* answer", "status"),
        ("* answer 200", "status"),
        ("* answer soon", "not a number"),
        ("* drop 3", "wrong place"),
        ("* delay", "seconds"),
        ("* delay -1", "seconds"),
        ("* delay NaN", "finite"),
        ("* stall after_work", "after_work"),
        ("* drop count", "wrong place"),
        ("* drop count=0", "count"),
        ("* drop count=1.5", "count"),
        ("* drop count=x", "not a number"),
        ("* drop count=true", "not a number"),
        ("* drop probability=2", "probability"),
        ("* drop often=1", "often"),
        ("* drop kind=1", "effect"),
        ("* drop 'count=1", "quotation"),
        ("* fail_job", "code"),
        ("* fail_job 9707 after_work", "after_work"),
        ("GET /jobs fail_job 9707", "submitted"),
        ("/sessions fail_job 9707", "submitted"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_with_a_reason(line, why):
    """The reason names the line and the word that is wrong."""
    with pytest.raises(ValueError, match=why) as refusal:
        parse_fault(line)

    assert repr(line) in str(refusal.value)


def faults_of(emulator, *options: str) -> int:
    """Run the command about the faults of an emulator."""
    return cli.main(["emulator", "faults", "--url", emulator.url, *options])


def test_faults_of_a_running_emulator_are_added_shown_and_cleared(emulator, capsys):
    """The command speaks to the emulator's control routes, and prints what stands."""
    lines = ["POST /sessions answer 503 count=1", "* drop after_work probability=0"]
    added = faults_of(emulator, "--add", lines[0], "--add", lines[1])
    shown = capsys.readouterr().out
    requests.post(f"{emulator.runtime_url}/sessions", timeout=5)
    faults_of(emulator)
    after_a_strike = capsys.readouterr().out
    cleared = faults_of(emulator, "--clear")

    assert (0, 0) == (added, cleared)
    assert [f"{line}  (struck 0 times)" for line in lines] == shown.splitlines()
    assert f"{lines[0]}  (struck 1 times)" in after_a_strike
    assert "Nothing goes wrong here.\n" == capsys.readouterr().out
    assert () == emulator.faults.standing


def test_a_device_is_taken_into_maintenance_by_the_command(emulator, capsys):
    """It says which devices do not work; a wrong word changes nothing."""
    wrong = faults_of(emulator, "--device", "ibm_manila=offline", "--device", "ibm_manila=broken")
    before = [device.status for device in emulator.overview.devices]
    capsys.readouterr()
    paused = faults_of(emulator, "--device", "ibm_manila=paused")
    told = capsys.readouterr().out
    back = faults_of(emulator, "--device", "ibm_manila=online")

    assert (2, ["online", "online"]) == (wrong, before)
    assert (0, "ibm_manila is paused\n") == (paused, told)
    assert (0, "Nothing goes wrong here.\n") == (back, capsys.readouterr().out)


def test_a_wrong_line_changes_nothing(emulator, capsys):
    """Of several faults none is added, and none cleared, if one cannot be read."""
    emulator.faults.add(Fault("/jobs", Drop()))

    status = faults_of(emulator, "--clear", "--add", "* drop", "--add", "* explode")

    assert 2 == status
    assert "'* explode' is no fault" in capsys.readouterr().err
    assert ["/jobs"] == [standing.fault.route for standing in emulator.faults.standing]


def test_without_control_there_are_no_faults_to_reach(make_emulator, capsys):
    """An emulator that was told so has no routes of its own."""
    emulator = make_emulator(control=False)

    assert 1 == faults_of(emulator)
    assert "--no-control" in capsys.readouterr().err
    assert 404 == requests.get(f"{emulator.url}/emulator/record", timeout=5).status_code


def test_where_no_emulator_is_the_command_says_so(capsys, monkeypatch):
    """Nobody there is exit status 1, no address at all a misuse."""
    monkeypatch.delenv("IAM_URL", raising=False)

    assert 1 == cli.main(["emulator", "faults", "--url", "http://127.0.0.1:9"])
    assert 2 == cli.main(["emulator", "faults"])
    assert "--url" in capsys.readouterr().err


def test_a_fault_given_at_the_start_strikes_from_then_on(monkeypatch):
    """`--fault` is there before the emulator says that it is ready, and `--no-control` too."""
    seen = {}

    def print_environment(emulator) -> None:
        seen["faults"] = [fault_line(standing.fault) for standing in emulator.faults.standing]
        seen["status"] = requests.get(f"{emulator.runtime_url}/backends", timeout=5).status_code
        seen["record"] = requests.get(f"{emulator.url}/emulator/record", timeout=5).status_code
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.emulator, "_print_environment", print_environment)
    lines = ["* answer 503", "POST /jobs drop count=2"]
    start = ["emulator", "start", "--no-control"]
    with pytest.raises(KeyboardInterrupt):
        cli.main([*start, "--fault", lines[0], "--fault", lines[1]])

    assert {"faults": lines, "status": 503, "record": 404} == seen


def test_a_wrong_fault_at_the_start_is_refused_in_a_line(capsys):
    """The emulator does not start."""
    assert 1 == cli.main(["emulator", "start", "--fault", "* explode"])
    assert "'* explode' is no fault" in capsys.readouterr().err
