"""`qsession list | show | close | cancel | reap`, from within a flow run whose session is open."""

import json
from uuid import uuid4

import pytest
from prefect import runtime

from prefect_qsession import cli, session_flow
from prefect_qsession.release.ledger import PrefectLedger
from tests.integration.conftest import one, outcomes


@pytest.fixture
def while_open(block, emulator):
    """Run a function while a session is open, and return what it returned."""

    def run(look):
        @session_flow(block, backend="ibm_manila", name="looks")
        def looks():
            one()
            return look(emulator.sessions[0].id)

        return looks()

    return run


def printed(capsys, *arguments):
    """Return what a command prints as JSON, and its status."""
    capsys.readouterr()
    status = cli.main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out), status


def test_list_tells_whose_session_it_is_and_what_it_has_used(while_open, capsys, block):
    """The ledger, Prefect and the service each say what they know."""
    ([listed], status), flow_run_id = while_open(
        lambda _: (printed(capsys, "list"), runtime.flow_run.id)
    )

    assert 0 == status
    assert block == listed["credentials"]
    assert (flow_run_id, "RUNNING", 1) == tuple(
        listed["flow_run"][name] for name in ("id", "state", "attempt")
    )
    assert "alive" == listed["process"]["liveness"]
    assert ("active", True) == (listed["service"]["state"], listed["service"]["accepting_jobs"])
    assert listed["service"]["usage_seconds"] is not None


def test_list_without_usage_asks_the_service_nothing(while_open, capsys):
    """It needs neither the client nor credentials."""
    [listed], status = while_open(lambda _: printed(capsys, "list", "--no-usage"))

    assert (0, None, None) == (status, listed["service"], listed["problem"])


def test_the_table_and_the_details_are_for_people(while_open, capsys):
    """One line a session; one line a fact."""

    def look(session_id):
        capsys.readouterr()
        cli.main(["list"])
        cli.main(["show", session_id])
        return session_id, capsys.readouterr().out

    session_id, text = while_open(look)
    table, details = text.split("Session ", 1)

    [_, line] = [line for line in table.splitlines() if line.strip()]
    assert line.startswith(f"{session_id} ")
    assert " ibm_manila " in line
    assert " running " in line
    assert "ibm_manila" in details
    assert "Last heartbeat" in details


def test_nothing_open_is_said_in_words(capsys):
    """An empty table would leave people wondering."""
    assert 0 == cli.main(["list"])
    assert "No session is open.\n" == capsys.readouterr().out


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_a_person_may_end_a_session(how, while_open, capsys, emulator):
    """The service has ended it as asked, the ledger has forgotten it, the flow run is told."""

    def look(session_id):
        result = printed(capsys, how, session_id)
        with pytest.raises(Exception, match=session_id):
            one()
        return result, PrefectLedger().entries()

    ([released], status), entries = while_open(look)

    assert (0, "released", how) == (status, released["result"], released["outcome"])
    assert [] == entries
    assert [how] == outcomes(emulator)


@pytest.mark.parametrize("command", ["show", "close", "cancel"])
def test_an_unknown_session_is_an_error_that_says_where_to_look(command, capsys):
    """Status 1, and no traceback."""
    unknown = str(uuid4())

    assert 1 == cli.main([command, unknown])
    assert f"No open session '{unknown}'" in capsys.readouterr().err


def test_reap_leaves_a_living_session_alone(while_open, capsys, emulator):
    """The flow run goes on, and is asked for nothing."""
    ([], status), value = while_open(lambda _: (printed(capsys, "reap"), one()))

    assert (0, 1) == (status, value)
    assert ["close"] == outcomes(emulator)
