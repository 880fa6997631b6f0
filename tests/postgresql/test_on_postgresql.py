"""The ledger, the reaper and a session flow: the tests that they pass on SQLite."""

import httpx
import pytest
from prefect.settings import PREFECT_API_URL

from prefect_qsession.release.ledger import PrefectLedger
from tests.integration.test_ledger import (
    api_ledger,
    test_a_heartbeat_of_what_is_forgotten_does_not_bring_it_back,
    test_each_heartbeat_is_unlike_the_one_before,
    test_forgetting_may_be_repeated,
    test_recording_again_takes_the_place_of_the_earlier_entry,
    test_the_bare_request_forgets_the_entry,
    test_the_entries_of_a_flow_run_are_its_own_and_those_below_it,
    test_the_ids_and_names_of_others_fit_into_the_api,
    test_what_is_recorded_is_found_as_it_was,
    test_what_was_never_recorded_is_not_found,
)
from tests.integration.test_reaper import (
    gone,
    leave_open,
    service,
    test_a_crashed_flow_run_elsewhere_that_beats_is_kept,
    test_a_session_is_released_as_its_flow_run_ended,
    test_the_session_of_a_dead_process_is_cancelled,
    test_two_reapers_at_once_cancel_a_session_once,
)
from tests.integration.test_session_manager import (
    _look_often,
    test_a_script_whose_run_is_cancelled_in_the_ui_loses_its_session_at_once,
    test_an_open_session_is_in_the_ledger_until_it_is_released,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgresql")]

__all__ = [
    "_look_often",
    "api_ledger",
    "gone",
    "leave_open",
    "service",
    "test_a_crashed_flow_run_elsewhere_that_beats_is_kept",
    "test_a_heartbeat_of_what_is_forgotten_does_not_bring_it_back",
    "test_a_script_whose_run_is_cancelled_in_the_ui_loses_its_session_at_once",
    "test_a_session_is_released_as_its_flow_run_ended",
    "test_an_open_session_is_in_the_ledger_until_it_is_released",
    "test_each_heartbeat_is_unlike_the_one_before",
    "test_forgetting_may_be_repeated",
    "test_recording_again_takes_the_place_of_the_earlier_entry",
    "test_the_bare_request_forgets_the_entry",
    "test_the_entries_of_a_flow_run_are_its_own_and_those_below_it",
    "test_the_ids_and_names_of_others_fit_into_the_api",
    "test_the_session_of_a_dead_process_is_cancelled",
    "test_two_reapers_at_once_cancel_a_session_once",
    "test_what_is_recorded_is_found_as_it_was",
    "test_what_was_never_recorded_is_not_found",
]


@pytest.fixture
def ledger() -> PrefectLedger:
    """Return the ledger of this server alone, where the contract asks for each of its kinds."""
    return PrefectLedger()


def test_the_server_is_on_postgresql():
    """The settings of the server itself say so."""
    settings = httpx.get(f"{PREFECT_API_URL.value()}/admin/settings").json()
    shown = settings["server"]["database"]

    assert "sqlite" not in str(shown).lower()
