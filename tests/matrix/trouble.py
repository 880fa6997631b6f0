"""Ends while something else is out of order: the Prefect server, the service, the guardian."""

from collections.abc import Mapping
from signal import SIGKILL, SIGSTOP, SIGTERM

from tests.harness.steps import (
    Break,
    KillServer,
    LetGo,
    Mend,
    Reap,
    Send,
    Target,
    Wait,
    WaitForDeath,
)
from tests.matrix.ways import (
    AT_ONCE,
    CANCEL,
    CLOSE,
    RAISES,
    SCRIPT,
    SUPERVISED,
    WORKER,
    Layer,
    Moment,
    Way,
)

_GO, _SIGTERM, _SIGKILL = (LetGo(),), (Send(SIGTERM),), (Send(SIGKILL),)
_BODY, _GUARDIAN = Layer.BODY, Layer.GUARDIAN
_RUNNING = Moment.RUNNING
_SERVER_GONE = (KillServer(),)
# Stopped first, it cannot start another.
_BOTH_AT_ONCE = (Send(SIGSTOP), Send(SIGKILL, Target.GUARDIAN), *_SIGKILL)
_TRIES_SHORTLY = {"PREFECT_INTEGRATIONS_QSESSION_RELEASE_WITHIN": "2"}
_BOTH_OUTCOMES: tuple[tuple[str, Mapping[str, str], tuple[str, ...]], ...] = (
    ("return", {}, (CLOSE,)),
    ("exception", RAISES, (CANCEL,)),
)

WITHOUT_SERVER = (
    Way(
        "return, Prefect server gone",
        _GO,
        _BODY,
        AT_ONCE,
        (CLOSE,),
        before=_SERVER_GONE,
        places=(SCRIPT, WORKER),
    ),
    Way(
        "exception, Prefect server gone",
        _GO,
        _BODY,
        before=_SERVER_GONE,
        parameters=RAISES,
        places=(SCRIPT, WORKER),
    ),
    Way(
        "SIGTERM, Prefect server gone",
        _SIGTERM,
        _BODY,
        moment=_RUNNING,
        before=_SERVER_GONE,
        places=(SCRIPT, WORKER),
    ),
    Way(
        "SIGKILL, Prefect server gone",
        _SIGKILL,
        _GUARDIAN,
        moment=_RUNNING,
        before=_SERVER_GONE,
        places=(SCRIPT, WORKER),
    ),
)

WITH_A_BAD_SERVICE = (
    *(
        Way(
            f"{name}, {how} at the release",
            _GO,
            _BODY,
            10.0,
            outcomes,
            before=(Break(how),),
            parameters=shape,
            places=(SCRIPT, WORKER),
        )
        for how in ("errors", "a lost request", "a lost reply")
        for name, shape, outcomes in _BOTH_OUTCOMES
    ),
    *(
        Way(
            f"{name}, no answer at the release",
            _GO,
            _GUARDIAN,
            15.0,
            outcomes,
            before=(Break("no answer"),),
            parameters=shape,
            environment=_TRIES_SHORTLY,
        )
        for name, shape, outcomes in _BOTH_OUTCOMES
    ),
    *(
        Way(
            f"{name}, service gone for longer than the process tries",
            (*_GO, WaitForDeath(), Wait(1.0), Mend()),
            _GUARDIAN,
            10.0,
            outcomes,
            before=(Break("an outage"),),
            parameters=shape,
            environment=_TRIES_SHORTLY,
        )
        for name, shape, outcomes in _BOTH_OUTCOMES
    ),
    Way(
        "SIGKILL, errors at the release",
        _SIGKILL,
        _GUARDIAN,
        20.0,
        before=(Break("errors"),),
        moment=_RUNNING,
        places=(SCRIPT, WORKER),
    ),
)

WITHOUT_GUARDIAN = (
    Way(
        "SIGKILL to the guardian, then return",
        _GO,
        _BODY,
        AT_ONCE,
        (CLOSE,),
        before=(Send(SIGKILL, Target.GUARDIAN), Wait(1.0)),
        places=(SCRIPT, WORKER),
    ),
    Way(
        "SIGKILL to the guardian, later to the flow",
        _SIGKILL,
        _GUARDIAN,
        before=(Send(SIGKILL, Target.GUARDIAN), Wait(2.0)),
        moment=_RUNNING,
        places=(SCRIPT, WORKER),
    ),
    Way(
        "SIGKILL to guardian and flow at once",
        _BOTH_AT_ONCE,
        Layer.HOOK,
        20.0,
        moment=_RUNNING,
        places=SUPERVISED,
    ),
    Way(
        "SIGKILL to guardian and flow at once, then the reaper",
        (*_BOTH_AT_ONCE, Reap()),
        Layer.REAPER,
        30.0,
        moment=_RUNNING,
    ),
)
