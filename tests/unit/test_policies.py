"""What a `SessionPolicy` block says, and what wins over what."""

from datetime import timedelta

import cloudpickle
import pytest
from pydantic import ValidationError

from prefect_qsession import SessionPolicy, SessionTaskRunner
from prefect_qsession.config.modes import Mode
from prefect_qsession.config.options import policy_fields
from prefect_qsession.policies import resolve_policy
from tests.unit.test_options import EVERYTHING, MEANING, chosen


def test_a_block_says_everything_that_the_code_can_say():
    """Field by field, by the same names, and with the same meaning."""
    assert set(EVERYTHING) == set(SessionPolicy.model_fields)
    assert MEANING == chosen(resolve_policy({}, SessionPolicy(**EVERYTHING)))


def test_an_empty_block_says_nothing():
    """What is left out is left to the settings, and what was emptied in a form as well."""
    fields = SessionPolicy.model_fields
    emptied = SessionPolicy(**{name: [] if name == "fallback" else "" for name in fields})

    assert {} == SessionPolicy().options()
    assert {} == emptied.options()


@pytest.mark.parametrize(
    ("given", "text"),
    [(0.05, "0.05s"), (1, "1s"), (timedelta(milliseconds=50), "0.05s"), ("50ms", "50ms")],
)
def test_a_window_of_less_than_a_second_is_taken_by_the_block(given, text):
    """As by the code: text, seconds, or a timedelta, and nothing of it is dropped."""
    policy = SessionPolicy(pack=given)

    assert text == policy.pack
    assert policy_fields({"pack": given}) == policy_fields({"pack": text})


@pytest.mark.parametrize("given", ["90s", 90, timedelta(seconds=90)])
def test_a_duration_is_saved_as_text(given):
    """The form has one kind of field for it, whatever it was given as in Python."""
    assert "90s" == SessionPolicy(qpu_budget=given).qpu_budget


def test_a_form_has_no_field_that_asks_whether_it_is_null():
    """The UI would put a switch before each, and what it shows of an untouched one says nothing."""
    shown = SessionPolicy.model_json_schema()["properties"]

    assert not [name for name, field in shown.items() if "anyOf" in field]
    assert list(SessionPolicy.model_fields) == sorted(
        shown, key=lambda name: shown[name]["position"]
    )


@pytest.mark.parametrize("said", [True, False, None])
def test_a_yes_or_no_is_saved_as_the_form_has_it(said):
    """And read as what it means."""
    saved = SessionPolicy(reattach=said).model_dump(mode="json")["reattach"]

    assert {True: "yes", False: "no", None: None}[said] == saved
    assert said is SessionPolicy(reattach=saved).reattach


@pytest.mark.parametrize(
    ("code", "block", "setting", "expected"),
    [
        ("job", "batch", "auto", Mode.JOB),
        (None, "batch", "auto", Mode.BATCH),
        (None, None, "auto", Mode.AUTO),
        (None, None, None, Mode.SESSION),
        ("job", None, None, Mode.JOB),
        ("job", None, "auto", Mode.JOB),
        ("job", "batch", None, Mode.JOB),
        (None, "batch", None, Mode.BATCH),
    ],
)
def test_code_wins_over_the_block_and_that_over_the_settings(
    code, block, setting, expected, monkeypatch
):
    """Option by option: whoever says nothing leaves it to the next."""
    if setting:
        monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_MODE", setting)

    assert expected == resolve_policy({"mode": code}, SessionPolicy(mode=block)).mode


def test_what_a_block_leaves_out_the_settings_say(monkeypatch):
    """A block for budgets leaves the time limit to whoever has set it."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_MAX_TIME", "20m")
    policy = resolve_policy({}, SessionPolicy(qpu_budget="1m"))

    assert (1200, 60) == (policy.max_time_seconds, policy.qpu_budget_seconds)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_time", "soon"),
        ("max_time", 0),
        ("qpu_budget", "1.5h"),
        ("mode", "sessions"),
        ("fallback", ["session"]),
        ("reopen", -1),
    ],
)
def test_a_field_that_cannot_be_is_refused_when_the_block_is_made(field, value):
    """By its name, and not only when a flow run reads it."""
    with pytest.raises(ValidationError, match=rf"1 validation error for SessionPolicy\n{field}"):
        SessionPolicy(**{field: value})


def test_a_runner_with_a_policy_survives_being_sent():
    """`flow.serve()` pickles flows with all they have."""
    runner = SessionTaskRunner("ibm", policy=SessionPolicy(mode="batch"))

    assert runner == cloudpickle.loads(cloudpickle.dumps(runner))
    assert runner == runner.duplicate()
    assert runner != SessionTaskRunner("ibm", policy=SessionPolicy(mode="job"))
