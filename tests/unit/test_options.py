"""What a user says of the sessions of a flow, and what it means."""

import inspect
import re
from dataclasses import fields
from datetime import timedelta
from typing import Unpack, get_overloads, get_type_hints

import pytest
from prefect import flow

from docs.option_table import PAGE, with_table
from prefect_qsession import SessionPolicy, SessionTaskRunner, session_flow
from prefect_qsession.config.modes import Mode
from prefect_qsession.config.options import OPTIONS, SessionOptions, policy_fields
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.decorators import FlowOptions
from prefect_qsession.exceptions import InvalidMaxTime, InvalidSetting
from prefect_qsession.settings import QSessionSettings

EVERYTHING: SessionOptions = {
    "max_time": "2h",
    "mode": "auto",
    "fallback": ("job",),
    "qpu_budget": 90,
    "session_budget": timedelta(minutes=5),
    "idle_release": "30s",
    "reattach": False,
    "reopen": 0,
    "pack": "50ms",
    "concurrency_limit": "sessions",
}
MEANING = {
    "max_time_seconds": 7200,
    "mode": Mode.AUTO,
    "fallback": (Mode.JOB,),
    "qpu_budget_seconds": 90,
    "session_budget_seconds": 300,
    "idle_release_seconds": 30,
    "reattach": False,
    "reopen": 0,
    "pack_seconds": 0.05,
    "concurrency_limit": "sessions",
}

PLACES = {
    "the task runner": inspect.signature(SessionTaskRunner).parameters,
    "the decorator": inspect.signature(session_flow).parameters,
    "the decorator in editors": FlowOptions.__annotations__,
    "the settings": QSessionSettings.model_fields,
    "the block": SessionPolicy.model_fields,
    "the form": SessionPolicy.model_json_schema()["properties"],
    "the page": re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE),
}


def chosen(policy: ResolvedPolicy) -> dict[str, object]:
    """Return the part of a policy that the options say."""
    return {name: getattr(policy, name) for name in MEANING}


def test_every_option_sets_a_field_of_the_policy():
    """Nothing is left out, and each is read as what it means."""
    assert set(EVERYTHING) == set(OPTIONS)
    assert MEANING == policy_fields(EVERYTHING)
    assert set(MEANING) == {name + option.values.unit for name, option in OPTIONS.items()}
    assert set(MEANING) < {field.name for field in fields(ResolvedPolicy)}


def test_the_defaults_are_careful():
    """A session of one hour, no caps, three reopenings, no limit."""
    assert {
        "max_time_seconds": 3600,
        "mode": Mode.SESSION,
        "fallback": (Mode.BATCH, Mode.JOB),
        "qpu_budget_seconds": None,
        "session_budget_seconds": None,
        "idle_release_seconds": None,
        "reattach": True,
        "reopen": 3,
        "pack_seconds": None,
        "concurrency_limit": None,
    } == chosen(QSessionSettings().resolve({}))


def test_an_operator_sets_every_option_by_its_own_name(monkeypatch):
    """As text in the environment."""
    said = {**EVERYTHING, "fallback": "job", "session_budget": "5m"}
    for name, value in said.items():
        monkeypatch.setenv(f"PREFECT_INTEGRATIONS_QSESSION_{name.upper()}", str(value))

    assert MEANING == chosen(QSessionSettings().resolve({}))


def test_what_the_code_says_wins_over_the_settings(monkeypatch):
    """Option by option; None says nothing."""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_QPU_BUDGET", "10s")
    monkeypatch.setenv("PREFECT_INTEGRATIONS_QSESSION_MODE", "batch")
    policy = QSessionSettings().resolve({"qpu_budget": None, "mode": "job", "max_time": None})

    assert (10, Mode.JOB, 3600) == (
        policy.qpu_budget_seconds,
        policy.mode,
        policy.max_time_seconds,
    )


@pytest.mark.parametrize(
    ("value", "modes"),
    [
        ("batch, job", (Mode.BATCH, Mode.JOB)),
        ("job batch", (Mode.JOB, Mode.BATCH)),
        (["batch"], (Mode.BATCH,)),
        (Mode.JOB, (Mode.JOB,)),
        ((), ()),
        ("", ()),
    ],
)
def test_a_fallback_is_read_from_text_and_sequences(value, modes):
    """An environment variable holds text only; nothing to fall back on is allowed."""
    assert {"fallback": modes} == policy_fields({"fallback": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_time", "soon"),
        ("mode", "sessions"),
        ("mode", 1),
        ("fallback", ("session",)),
        ("fallback", "auto"),
        ("fallback", 5),
        ("qpu_budget", 0),
        ("session_budget", "1.5h"),
        ("idle_release", -1),
        ("reattach", "no"),
        ("reopen", -1),
        ("reopen", True),
        ("reopen", "3"),
        ("concurrency_limit", ""),
        ("concurrency_limit", 2),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused_by_its_name(name, value):
    """In the code and in the settings alike, and before anything runs."""
    with pytest.raises(InvalidSetting, match=f"^{name} ") as refused:
        policy_fields({name: value})

    assert (name == "max_time") == isinstance(refused.value, InvalidMaxTime)


def test_an_option_that_does_not_exist_is_refused_as_python_does():
    """A slip of the pen is no option."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_tim'"):
        policy_fields({"max_tim": "2h"})


@pytest.mark.parametrize("place", PLACES)
def test_every_option_is_in_every_place(place):
    """It is declared once, and all of these follow."""
    assert [] == [name for name in OPTIONS if name not in PLACES[place]]


@pytest.mark.parametrize("function", [session_flow, SessionTaskRunner])
def test_a_signature_shows_what_an_option_takes(function):
    """To whoever asks at run time; editors read the declaration."""
    shown = inspect.signature(function).parameters
    types = get_type_hints(SessionOptions)

    assert types == {name: shown[name].annotation for name in types}
    assert {None} == {shown[name].default for name in types}


def test_editors_see_prefects_own_options_beside_ours():
    """All but its task runner, which is ours."""
    prefects = set(list(inspect.signature(flow).parameters)[1:]) - {"task_runner"}

    assert prefects <= set(FlowOptions.__annotations__)
    assert Unpack[FlowOptions] == get_overloads(session_flow)[1].__annotations__["options"]


def test_the_page_of_options_has_the_table():
    """`python -m docs.option_table` would change nothing."""
    page = PAGE.read_text()

    assert with_table(page) == page
