"""
The pictures of ARCHITECTURE.md: who holds whom, and who calls whom, in the names of the code.

`tests/unit/test_architecture.py` looks each name up: what has moved, is held no more or called no
more fails there. Whoever stands in a picture is a class or module below the package, or one of the
client's by its whole name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from docs.drawing import Drawing, Point

ABOVE = 10
"""How far words stand above the arrow that they are about."""


@dataclass(frozen=True)
class Hold:
    """One object that has another; with brackets after the name, one that it gets by a call."""

    holder: str
    name: str
    held: str
    named: str = ""
    """The port or alias by which the holder knows it, if not by its class."""
    where: str = ""
    """The module that puts the two together, if the holder is not ours."""


ESTIMATOR = "primitives.SessionEstimator"
TASK_RUNNER = "task_runners.SessionTaskRunner"
FLOW_RUN_SESSION = "session.flow_run_sessions.FlowRunSession"
MANAGER = "session.manager.SessionManager"
LIFECYCLE = "session.lifecycle.Lifecycle"
OPENER = "session.openings.Opener"
SUBMISSIONS = "jobs.submissions.Submissions"
SAFEGUARDED = "release.safeguards.SafeguardedWorkload"
RETRY = "release.release_retry.ReleaseRetry"
LEDGER = "release.ledger.PrefectLedger"
GUARDIAN = "release.guardian.guarding.Guardian"
LISTENER = "workers.listener.WorkerListener"
WORKER_SESSION = "workers.session.WorkerSession"
INPUTS = "workers.flow_run_inputs"
EMITTER = "reporting.event_emitter.RunEventEmitter"
RUNTIME = "ibm.service.Runtime"
WORKLOAD = "ibm.workloads.TimedWorkload"
PRIMITIVE = "ibm.primitives.ClientPrimitive"
ADAPTER = "ibm.transport.RetryingAdapter"

CLIENT_BACKEND = "qiskit_ibm_runtime.IBMBackend"
CLIENT_SESSION = "qiskit_ibm_runtime.Session"
CLIENT_SERVICE = "qiskit_ibm_runtime.QiskitRuntimeService"
HTTP_SESSION = "requests.Session"
REQUEST = "requests.PreparedRequest"

HOLDS = (
    Hold(TASK_RUNNER, "flow_run_session", FLOW_RUN_SESSION),
    Hold(ESTIMATOR, "_session", FLOW_RUN_SESSION, "session.flow_run_sessions.AnyFlowRunSession"),
    Hold(FLOW_RUN_SESSION, "_submissions", SUBMISSIONS),
    Hold(FLOW_RUN_SESSION, "_manager", MANAGER),
    Hold(FLOW_RUN_SESSION, "_listener", LISTENER),
    Hold(SUBMISSIONS, "_provider", MANAGER, "jobs.workload_provider.WorkloadProvider"),
    Hold(LISTENER, "_manager", MANAGER, "workers.listener.FlowProcess"),
    Hold(MANAGER, "events", EMITTER),
    Hold(MANAGER, "spending", "budget.spending.Spending"),
    Hold(MANAGER, "_lifecycle", LIFECYCLE),
    Hold(MANAGER, "_runtime", RUNTIME),
    Hold(LIFECYCLE, "_session", SAFEGUARDED, "ibm.records.Workload"),
    Hold(SAFEGUARDED, "_monitor", "release.monitor.Monitor"),
    Hold(SAFEGUARDED, "_ledger", LEDGER),
    Hold(SAFEGUARDED, "guardian()", GUARDIAN),
    Hold(SAFEGUARDED, "_session", WORKLOAD, "ibm.workloads.RuntimeWorkload"),
    Hold(WORKLOAD, "_session", CLIENT_SESSION),
    Hold(RUNTIME, "_backend", CLIENT_BACKEND),
    Hold(CLIENT_SESSION, "service", CLIENT_SERVICE),
    Hold(CLIENT_BACKEND, "service", CLIENT_SERVICE),
    Hold(CLIENT_SERVICE, "senders()", HTTP_SESSION, where="ibm.transport"),
    Hold(HTTP_SESSION, "mount()", ADAPTER, where="ibm.transport"),
    Hold(ADAPTER, "_auth", "ibm.identity.TokenAuth"),
    Hold(ADAPTER, "send()", REQUEST),
)

_COLUMNS = (115, 375, 635, 895)
_ROWS = (
    ("", TASK_RUNNER, "", ""),
    (ESTIMATOR, FLOW_RUN_SESSION, SUBMISSIONS, ""),
    (LISTENER, MANAGER, EMITTER, ""),
    ("budget.spending.Spending", LIFECYCLE, RUNTIME, CLIENT_BACKEND),
    ("release.monitor.Monitor", SAFEGUARDED, GUARDIAN, ""),
    (LEDGER, WORKLOAD, CLIENT_SESSION, CLIENT_SERVICE),
    ("", "ibm.identity.TokenAuth", ADAPTER, HTTP_SESSION),
    ("", "", REQUEST, ""),
)
PLACES = {
    who: Point(x, 40 + 84 * row)
    for row, line in enumerate(_ROWS)
    for x, who in zip(_COLUMNS, line, strict=True)
    if who
}
"""Where each stands in the picture of who holds whom."""


def holders() -> str:
    """Return who holds whom, from the flow run down to the HTTP request, as a drawing."""
    title = "Who holds whom, from the flow run to the HTTP request"
    drawing = Drawing(1010, 668, title, box_width=165)
    for hold in HOLDS:
        start, end = PLACES[hold.holder], PLACES[hold.held]
        if start.y == end.y:
            drawing.arrow(start, end, "")
            drawing.write(Point((start.x + end.x) / 2, start.y - ABOVE), hold.name)
        else:
            drawing.arrow(start, end, hold.name)
    for who, place in PLACES.items():
        drawing.box(place, label(who), kind(who))
    return drawing.svg()


@dataclass(frozen=True)
class Call:
    """One that calls another by a method or function; the words after it say why."""

    caller: str
    callee: str
    name: str
    words: str = ""
    through: str = ""
    """The attribute through which the caller has the method, if it was given that alone."""


@dataclass(frozen=True)
class Return:
    """What comes back."""

    caller: str
    callee: str
    words: str


@dataclass(frozen=True)
class Interplay:
    """Who takes part, from left to right, in which processes, and what happens in which order."""

    title: str
    processes: Sequence[tuple[str, Sequence[str]]]
    steps: Sequence[Call | Return]


IN_FLOW = "the flow's process"

FINDS = Interplay(
    "A job finds its session",
    [
        (
            IN_FLOW,
            (
                *("primitives", FLOW_RUN_SESSION, SUBMISSIONS, MANAGER, LIFECYCLE, OPENER),
                *(SAFEGUARDED, PRIMITIVE),
            ),
        )
    ],
    (
        Call("primitives", FLOW_RUN_SESSION, "submissions", "of the session in the context"),
        Call(FLOW_RUN_SESSION, FLOW_RUN_SESSION, "_bind", "learn the owner, make the manager"),
        Call("primitives", SUBMISSIONS, "request", "fingerprint and number what is asked"),
        Call("primitives", SUBMISSIONS, "answer", "no earlier job does, so:"),
        Call(SUBMISSIONS, MANAGER, "acquire"),
        Call(MANAGER, LIFECYCLE, "acquire"),
        Call(LIFECYCLE, MANAGER, "_open", "once; others wait", through="_open_session"),
        Call(MANAGER, OPENER, "open", "a slot, then the service"),
        Call(MANAGER, SAFEGUARDED, "put_up", "guardian, ledger's entry, monitor"),
        Return(LIFECYCLE, SUBMISSIONS, "the open session"),
        Call(SUBMISSIONS, PRIMITIVE, "run", "in it, with the request's identity as tags"),
        Return(SUBMISSIONS, "primitives", "the job, as a SessionJob"),
    ),
)

ENDS = Interplay(
    "A session ends: the body of the flow has returned",
    [
        (
            IN_FLOW,
            (
                *("session.bodies", FLOW_RUN_SESSION, MANAGER, RETRY, LIFECYCLE, SAFEGUARDED),
                *(WORKLOAD, LEDGER),
            ),
        )
    ],
    (
        Call("session.bodies", FLOW_RUN_SESSION, "release", "to close it"),
        Call(FLOW_RUN_SESSION, MANAGER, "release"),
        Call(MANAGER, RETRY, "run", "wait so long at most"),
        Call(RETRY, LIFECYCLE, "release", "again if it fails", through="_release"),
        Call(LIFECYCLE, SAFEGUARDED, "close", "outside the lock"),
        Call(SAFEGUARDED, WORKLOAD, "close", "the service confirms"),
        Call(SAFEGUARDED, SAFEGUARDED, "take_down", "stop the monitor, discharge the guardian"),
        Call(SAFEGUARDED, LEDGER, "forget", "nothing is open"),
        Return(LIFECYCLE, RETRY, "closed, for good"),
        Call(MANAGER, MANAGER, "_emit_released", "what it has used"),
    ),
)

ASKS = Interplay(
    "A task in another process asks",
    [
        (IN_FLOW, (TASK_RUNNER, FLOW_RUN_SESSION, MANAGER, LISTENER)),
        ("Prefect's API", (INPUTS,)),
        ("a worker", (WORKER_SESSION, SUBMISSIONS, "primitives")),
    ],
    (
        Call(TASK_RUNNER, FLOW_RUN_SESSION, "worker_context", "to take along, on the task"),
        Call(FLOW_RUN_SESSION, LISTENER, "start", "with the first such task"),
        Call("primitives", SUBMISSIONS, "answer", "as everywhere"),
        Call(SUBMISSIONS, WORKER_SESSION, "acquire"),
        Call(WORKER_SESSION, INPUTS, "ask", "no session came along"),
        Call(LISTENER, INPUTS, "take", "each question once"),
        Call(LISTENER, MANAGER, "acquire", "it may have to open"),
        Call(LISTENER, INPUTS, "reply"),
        Return(INPUTS, WORKER_SESSION, "a JobDestination"),
        Call(WORKER_SESSION, WORKER_SESSION, "_join", "look whether it takes jobs"),
        Return(WORKER_SESSION, SUBMISSIONS, "the session, joined"),
    ),
)

INTERPLAYS = {"job_finds_session": FINDS, "session_ends": ENDS, "worker_asks": ASKS}

_LANE, _STEP, _TOP = 164, 40, 50


def interplay(drawn: Interplay) -> str:
    """Return who calls whom, from the top down, as a drawing."""
    lanes = [who for _, whose in drawn.processes for who in whose]
    x = {who: 8 + _LANE * (number + 0.5) for number, who in enumerate(lanes)}
    bottom = _TOP + 34 + _STEP * len(drawn.steps)
    width = 16 + _LANE * len(lanes)
    drawing = Drawing(width, bottom + 16, drawn.title, box_width=_LANE - 6)
    for name, whose in drawn.processes:
        left, right = x[whose[0]] - _LANE / 2 + 3, x[whose[-1]] + _LANE / 2 - 3
        drawing.write(Point((left + right) / 2, 16), name)
        drawing.line(Point(left, 22), Point(right, 22))
    for who in lanes:
        drawing.line(Point(x[who], _TOP + 20), Point(x[who], bottom))
        drawing.box(Point(x[who], _TOP), label(who), kind(who))
    for number, step in enumerate(drawn.steps, 1):
        here, there, y = x[step.caller], x[step.callee], _TOP + 14 + _STEP * number
        if here == there:
            y -= 12
            drawing.write(Point(here + 34, y + 11), words_of(step), "start")
        else:
            drawing.write(Point((here + there) / 2, y - ABOVE), words_of(step))
        drawing.step(Point(here, y), Point(there, y), dashed=isinstance(step, Return))
    return drawing.svg()


def label(who: str) -> str:
    """Return the name of a class or module; with that of its package, where the client has one."""
    return who if who == HTTP_SESSION else who.rpartition(".")[2]


def kind(who: str) -> str:
    """Return how a box looks: others' classes stand out."""
    return "busy" if who.partition(".")[0] in ("qiskit_ibm_runtime", "requests") else "plain"


def words_of(step: Call | Return) -> str:
    """Return what stands at an arrow."""
    if isinstance(step, Return):
        return step.words
    return f"{step.name}(): {step.words}" if step.words else f"{step.name}()"
