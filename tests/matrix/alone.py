"""The ends that a flow run comes to by itself."""

from tests.harness.steps import LetGo, Resume, RunOut, Wait
from tests.matrix.ways import (
    AFTER_A_LOOK,
    AFTER_EXIT,
    AT_ONCE,
    CANCEL,
    CLOSE,
    EVERYWHERE,
    IMPORTED,
    RAISES,
    SCRIPT,
    SUPERVISED,
    WORKER,
    Layer,
    Moment,
    Way,
    and_async,
)

_GO = (LetGo(),)
_CLOSED = (CLOSE,)
_BODY, _EXIT = Layer.BODY, Layer.EXIT
_AFTER_NEXT_ATTEMPT = 10.0
_KEPT_SHORTER_THAN_THE_DELAY = {"PREFECT_INTEGRATIONS_QSESSION_KEEP_FOR_RETRY": "0.5"}

IN_EVERY_FLOW = and_async(
    Way("return", _GO, _BODY, AT_ONCE, _CLOSED, places=EVERYWHERE),
    Way("exception", _GO, _BODY, parameters=RAISES, places=EVERYWHERE),
    Way(
        "return, plain flow", _GO, _EXIT, AFTER_EXIT, _CLOSED, flow="plain", places=(SCRIPT, WORKER)
    ),
    Way(
        "exception, plain flow",
        _GO,
        _EXIT,
        AFTER_EXIT,
        flow="plain",
        parameters=RAISES,
        places=(SCRIPT, WORKER),
    ),
    Way(
        "timeout between jobs",
        (),
        _BODY,
        AFTER_A_LOOK,
        before=(RunOut(),),
        flow="timed",
        places=(SCRIPT, WORKER),
    ),
)

FAILURES = (
    Way(
        f"timeout {Moment.RUNNING}",
        (),
        # Or by the monitor: the error that Prefect raises in the flow's thread got lost once.
        _BODY,
        AFTER_A_LOOK,
        before=(RunOut(),),
        moment=Moment.RUNNING,
        flow="timed",
        places=EVERYWHERE,
    ),
    *(
        Way(
            name,
            _GO,
            _EXIT,
            AFTER_EXIT,
            parameters={"shape": shape},
            places=EVERYWHERE,
        )
        for name, shape in (
            ("failed state returned", "fails by state"),
            ("failed submitted task", "fails by task"),
        )
    ),
    Way("sys.exit", _GO, _BODY, parameters={"shape": "sys.exit"}, places=EVERYWHERE),
    Way(
        "os._exit",
        _GO,
        Layer.GUARDIAN,
        parameters={"shape": "os._exit"},
        places=EVERYWHERE,
    ),
)

SEVERAL = (
    Way(
        "subflow in the same session, return",
        _GO,
        _BODY,
        AFTER_EXIT,
        _CLOSED,
        flow="above_sharing",
        places=(SCRIPT, WORKER),
    ),
    Way(
        "subflow in the same session, exception",
        _GO,
        _BODY,
        AFTER_EXIT,
        flow="above_sharing",
        parameters=RAISES,
        places=(SCRIPT, WORKER),
    ),
    Way(
        "subflow with its own session, return",
        _GO,
        _BODY,
        AFTER_EXIT,
        (CLOSE, CLOSE),
        flow="above_owning",
        places=(SCRIPT, WORKER),
    ),
    Way(
        "subflow with its own session, exception",
        _GO,
        _BODY,
        AFTER_EXIT,
        (CANCEL, CANCEL),
        flow="above_owning",
        parameters=RAISES,
        places=(SCRIPT, WORKER),
    ),
    Way(
        "two flow runs in one process, one fails",
        _GO,
        _BODY,
        AT_ONCE,
        (CANCEL, CLOSE),
        flow="decorated_async",
        parameters=RAISES,
        call="twice",
        flow_runs=2,
    ),
    Way("return outside the main thread", _GO, _BODY, AT_ONCE, _CLOSED, call="in_thread"),
)

GENERATORS = (
    # Prefect reads a deployed one to its end; flow.serve() does not run generators (3.8.8).
    *(
        Way(f"{which} read to its end", _GO, _BODY, AT_ONCE, _CLOSED, flow=flow, places=IMPORTED)
        for which, flow in (("generator", "generating"), ("async generator", "generating_async"))
    ),
    Way("generator read to its end", _GO, _BODY, AT_ONCE, _CLOSED, flow="generating", call="read"),
    Way("generator closed early", _GO, _BODY, AT_ONCE, _CLOSED, flow="generating", call="leave"),
    Way(
        "async generator read to its end",
        _GO,
        _BODY,
        AT_ONCE,
        _CLOSED,
        flow="generating_async",
        call="read",
    ),
    Way(
        "async generator left by break",
        _GO,
        _BODY,
        AFTER_EXIT,
        flow="generating_async",
        call="leave",
    ),
)

INTERRUPTIONS = (
    Way(
        "retry at once: one session for both",
        _GO,
        _BODY,
        _AFTER_NEXT_ATTEMPT,
        _CLOSED,
        flow="retried",
        places=EVERYWHERE,
    ),
    Way(
        "retry later than it is kept: a session each",
        _GO,
        _BODY,
        _AFTER_NEXT_ATTEMPT,
        (CLOSE, CLOSE),
        flow="retried",
        environment=_KEPT_SHORTER_THAN_THE_DELAY,
    ),
    Way(
        "pause",
        _GO,
        Layer.MONITOR,
        AFTER_A_LOOK,
        _CLOSED,
        flow="pausing",
        places=(SCRIPT, WORKER),
    ),
    Way(
        "pause and resume: a session each",
        (*_GO, Wait(AFTER_A_LOOK), Resume()),
        _BODY,
        20.0,
        (CLOSE, CLOSE),
        flow="pausing",
        places=(SCRIPT, WORKER),
    ),
    Way("suspend", _GO, _BODY, AT_ONCE, _CLOSED, flow="suspending", places=SUPERVISED),
    Way(
        "suspend and resume: a session each",
        (*_GO, Resume()),
        _BODY,
        60.0,
        (CLOSE, CLOSE),
        flow="suspending",
        places=SUPERVISED,
    ),
)
