"""The ends that come from outside: cancellations and signals."""

from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

from tests.harness.steps import CancelRun, LetGo, Mend, Send, Target, Wait
from tests.harness.versions import SINCE_PREFECT_3_9
from tests.matrix.ways import (
    AFTER_A_LOOK,
    AFTER_DEATH,
    AFTER_EXIT,
    AFTER_POLLING,
    AT_ONCE,
    CANCEL,
    CLOSE,
    EVERYWHERE,
    FLOW_SERVE,
    IMPORTED,
    IN_A_SUBMITTED_TASK,
    SCRIPT,
    SUPERVISED,
    UNUSED,
    WORKER,
    Layer,
    Moment,
    Way,
    and_async,
)

_CANCEL = (CancelRun(),)
_SIGTERM, _SIGHUP, _SIGKILL = (Send(SIGTERM),), (Send(SIGHUP),), (Send(SIGKILL),)
_CTRL_C = (Send(SIGINT, Target.GROUP),)
_BODY, _GUARDIAN = Layer.BODY, Layer.GUARDIAN
_OPENING, _QUEUED, _RUNNING, _BETWEEN = Moment

CANCELLED_SCRIPTS = (
    *(
        Way(f"cancel {moment}", _CANCEL, Layer.MONITOR, AFTER_A_LOOK, moment=moment)
        for moment in (_QUEUED, _RUNNING, _BETWEEN)
    ),
    Way("cancel between jobs, async", _CANCEL, Layer.MONITOR, AFTER_A_LOOK, flow="decorated_async"),
    Way(
        "cancel by the command line",
        (CancelRun(by_cli=True),),
        Layer.MONITOR,
        20.0,
        moment=_RUNNING,
    ),
    Way(f"cancel {_OPENING}", (*_CANCEL, Mend()), Layer.MONITOR, AFTER_A_LOOK, moment=_OPENING),
)

CANCELLED_DEPLOYMENTS = (
    *(
        Way(f"cancel {moment}", _CANCEL, _BODY, AFTER_POLLING, moment=moment, places=SUPERVISED)
        for moment in (_QUEUED, _RUNNING, _BETWEEN)
    ),
    Way(
        "cancel between jobs, async",
        _CANCEL,
        _BODY,
        AFTER_POLLING,
        flow="decorated_async",
        places=SUPERVISED,
    ),
    Way(
        "cancel by the command line",
        (CancelRun(by_cli=True),),
        _BODY,
        20.0,
        moment=_RUNNING,
        places=SUPERVISED,
    ),
    Way(
        "cancel while a submitted task hangs",
        _CANCEL,
        _BODY,
        AFTER_POLLING,
        moment=_RUNNING,
        parameters=IN_A_SUBMITTED_TASK,
        places=SUPERVISED,
    ),
    Way(
        f"cancel {_OPENING}",
        _CANCEL,
        Layer.SERVICE,
        outcomes=(UNUSED,),
        moment=_OPENING,
        places=SUPERVISED,
    ),
)

SIGNALLED_SCRIPTS = (
    *and_async(
        Way(f"SIGTERM {_RUNNING}", _SIGTERM, _BODY, moment=_RUNNING),
        Way(f"SIGTERM {_BETWEEN}", _SIGTERM, _BODY),
        Way(f"Ctrl-C {_BETWEEN}", _CTRL_C, _BODY),
    ),
    Way(f"Ctrl-C {_RUNNING}", _CTRL_C, _BODY, moment=_RUNNING),
    # asyncio hears the first one only when its event loop is free again.
    Way(
        "Ctrl-C twice while a job blocks the event loop, async",
        (*_CTRL_C, Wait(0.3), *_CTRL_C),
        _BODY,
        moment=_RUNNING,
        flow="decorated_async",
    ),
    Way(f"SIGTERM {_QUEUED}", _SIGTERM, _BODY, moment=_QUEUED),
    Way(f"SIGTERM {_OPENING}", _SIGTERM, Layer.SERVICE, outcomes=(UNUSED,), moment=_OPENING),
    Way(
        "SIGTERM while a submitted task opens the session",
        (*_SIGTERM, Wait(1.0), Mend()),
        _BODY,
        AFTER_EXIT,
        moment=_OPENING,
        parameters=IN_A_SUBMITTED_TASK,
    ),
    Way(
        "SIGTERM while a submitted task hangs",
        _SIGTERM,
        _BODY,
        moment=_RUNNING,
        parameters=IN_A_SUBMITTED_TASK,
    ),
    Way(
        "SIGTERM while a submitted task hangs, plain flow",
        _SIGTERM,
        Layer.EXIT,
        moment=_RUNNING,
        flow="plain",
        parameters=IN_A_SUBMITTED_TASK,
    ),
    Way(
        "Ctrl-C twice while a submitted task hangs",
        (*_CTRL_C, Wait(0.3), *_CTRL_C),
        _BODY,
        moment=_RUNNING,
        parameters=IN_A_SUBMITTED_TASK,
    ),
    Way("SIGTERM outside the main thread", _SIGTERM, _GUARDIAN, moment=_RUNNING, call="in_thread"),
    Way("SIGHUP", _SIGHUP, _GUARDIAN, moment=_RUNNING, places=EVERYWHERE),
    Way(f"SIGKILL {_QUEUED}", _SIGKILL, _GUARDIAN, moment=_QUEUED, places=(SCRIPT, WORKER)),
    Way(f"SIGKILL {_RUNNING}", _SIGKILL, _GUARDIAN, moment=_RUNNING, places=EVERYWHERE),
    Way(f"SIGKILL {_BETWEEN}", _SIGKILL, _GUARDIAN, places=(SCRIPT, WORKER)),
    Way(
        f"SIGKILL {_OPENING}",
        _SIGKILL,
        Layer.SERVICE,
        outcomes=(UNUSED,),
        moment=_OPENING,
        places=(SCRIPT, WORKER),
    ),
    Way(
        f"SIGKILL {_RUNNING}, async",
        _SIGKILL,
        _GUARDIAN,
        moment=_RUNNING,
        flow="decorated_async",
        places=(SCRIPT, WORKER),
    ),
    Way(
        f"SIGKILL {_RUNNING}, plain flow",
        _SIGKILL,
        _GUARDIAN,
        moment=_RUNNING,
        flow="plain",
        places=(SCRIPT, WORKER),
    ),
    Way(
        "SIGKILL of two flow runs in one process",
        _SIGKILL,
        _GUARDIAN,
        AFTER_DEATH,
        (CANCEL, CANCEL),
        flow="decorated_async",
        call="twice",
        flow_runs=2,
    ),
    Way(
        "SIGKILL of a flow and a subflow with its own session",
        _SIGKILL,
        _GUARDIAN,
        AFTER_DEATH,
        (CANCEL, CANCEL),
        flow="above_owning",
        places=(SCRIPT, WORKER),
    ),
)

SIGNALLED_DEPLOYMENTS = (
    *and_async(Way(f"SIGTERM {_RUNNING}", _SIGTERM, _BODY, moment=_RUNNING, places=SUPERVISED)),
    Way(f"SIGTERM {_QUEUED}", _SIGTERM, _BODY, moment=_QUEUED, places=(WORKER,)),
    Way(f"SIGTERM {_BETWEEN}", _SIGTERM, _BODY, places=(WORKER,)),
    Way(
        "SIGTERM to the supervisor",
        (Send(SIGTERM, Target.SUPERVISOR),),
        _GUARDIAN,
        AFTER_EXIT,
        moment=_RUNNING,
        places=IMPORTED,
    ),
    # It passes the signal on; before 3.9 it waited for its run.
    Way(
        "SIGTERM to the supervisor",
        (Send(SIGTERM, Target.SUPERVISOR),),
        _BODY,
        AFTER_EXIT,
        moment=_RUNNING,
        places=(FLOW_SERVE,),
    )
    if SINCE_PREFECT_3_9
    else Way(
        "SIGTERM to the supervisor, then return",
        (LetGo(),),
        _BODY,
        AT_ONCE,
        (CLOSE,),
        before=(Send(SIGTERM, Target.SUPERVISOR), Wait(1.0)),
        places=(FLOW_SERVE,),
    ),
    Way(
        "Ctrl-C to the whole group",
        _CTRL_C,
        _GUARDIAN,
        AFTER_EXIT,
        moment=_RUNNING,
        places=IMPORTED,
    ),
    Way(
        "Ctrl-C to the whole group",
        _CTRL_C,
        _BODY,
        AFTER_EXIT,
        moment=_RUNNING,
        places=(FLOW_SERVE,),
    ),
    Way(
        "SIGKILL to supervisor and flow",
        (Send(SIGKILL, Target.BOTH),),
        _GUARDIAN,
        moment=_RUNNING,
        places=SUPERVISED,
    ),
    Way(
        "SIGKILL to the whole group",
        (Send(SIGKILL, Target.GROUP),),
        _GUARDIAN,
        moment=_RUNNING,
        places=SUPERVISED,
    ),
    Way(
        "SIGKILL to the supervisor, then return",
        (LetGo(),),
        _BODY,
        AFTER_EXIT,
        (CLOSE,),
        before=(Send(SIGKILL, Target.SUPERVISOR), Wait(1.0)),
        places=SUPERVISED,
    ),
)
