"""What a user says of the sessions of a flow, and what it means."""

import inspect
from datetime import timedelta
from typing import get_args, get_overloads, get_type_hints

import pytest

from prefect_qsession import session_flow
from prefect_qsession.config.durations import Duration
from prefect_qsession.config.modes import Mode
from prefect_qsession.config.options import SessionOptions, policy_fields
from prefect_qsession.config.policy import ResolvedPolicy
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
    "reattaches": False,
    "reopenings": 0,
    "packing_window_seconds": 0.05,
    "concurrency_limit": "sessions",
}


def chosen(policy: ResolvedPolicy) -> dict[str, object]:
    """Return the part of a policy that the options say."""
    return {name: getattr(policy, name) for name in MEANING}


def test_every_option_sets_a_field_of_the_policy():
    """Nothing is left out, and each is read as what it means."""
    assert set(EVERYTHING) == set(SessionOptions.__annotations__)
    assert MEANING == policy_fields(EVERYTHING)


def test_the_defaults_are_careful():
    """A session of one hour, no caps, three reopenings, no limit."""
    assert {
        "max_time_seconds": 3600,
        "mode": Mode.SESSION,
        "fallback": (Mode.BATCH, Mode.JOB),
        "qpu_budget_seconds": None,
        "session_budget_seconds": None,
        "idle_release_seconds": None,
        "reattaches": True,
        "reopenings": 3,
        "packing_window_seconds": None,
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


def test_the_decorator_shows_every_option():
    """Its signature has to write them out, and must not forget one, nor its type."""
    written_out = get_overloads(session_flow)[1]
    shown = inspect.signature(written_out).parameters
    types = get_type_hints(SessionOptions)

    assert set(types) <= set(shown)
    assert types == {name: get_type_hints(written_out)[name] for name in types}
    assert set(get_args(Duration)) <= set(get_args(types["max_time"]))
