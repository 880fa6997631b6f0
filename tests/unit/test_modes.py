"""In which mode the jobs of a flow run go, and after which refusal another one is tried."""

import pytest

from prefect_qsession.config.modes import Mode, modes_to_try
from prefect_qsession.exceptions import (
    ServiceError,
    ServiceUnavailable,
    SessionRefused,
    Unauthorized,
)
from prefect_qsession.ibm.errors import refused_as_session_refused


@pytest.mark.parametrize(
    ("mode", "fallback", "expected"),
    [
        (Mode.SESSION, (Mode.BATCH, Mode.JOB), (Mode.SESSION,)),
        (Mode.BATCH, (Mode.JOB,), (Mode.BATCH,)),
        (Mode.JOB, (Mode.BATCH,), (Mode.JOB,)),
        (Mode.AUTO, (Mode.BATCH, Mode.JOB), (Mode.SESSION, Mode.BATCH, Mode.JOB)),
        (Mode.AUTO, (Mode.JOB,), (Mode.SESSION, Mode.JOB)),
        (Mode.AUTO, (), (Mode.SESSION,)),
    ],
)
def test_only_auto_tries_more_than_one_mode(mode, fallback, expected):
    """A session first, then what the user named."""
    assert expected == modes_to_try(mode, fallback)


PASSED_ON = {(Mode.SESSION, 1352), (Mode.BATCH, 1352), (Mode.BATCH, 1208)}


@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.BATCH, Mode.JOB])
@pytest.mark.parametrize("code", [1352, 1208, 1200, 1007, None])
def test_a_refusal_is_passed_on_only_for_what_the_plan_allows(mode, code):
    """Every mode with every code: the plan has no sessions, or only shorter batches."""
    with pytest.raises(SessionRefused) as refusal, refused_as_session_refused(mode):
        raise ServiceError("no", status_code=400, code=code)

    assert ((mode, code) in PASSED_ON) == refusal.value.by_plan


@pytest.mark.parametrize("kind", [ServiceUnavailable, Unauthorized])
@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.BATCH])
def test_an_outage_or_a_bad_key_is_never_passed_on(kind, mode):
    """Whatever code it comes with: the next mode would meet it as well."""
    with pytest.raises(kind) as failure, refused_as_session_refused(mode):
        raise kind("no", code=1352)

    assert not isinstance(failure.value, SessionRefused)
