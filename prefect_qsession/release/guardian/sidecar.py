"""
The guardian's own process: ends what it guards when the flow's process is gone.

One file, run by its path on the bare standard library: it imports neither this package nor any
other, so it starts at once, stays small, and needs nothing from a disk that may go away together
with the flow's process. The flow's side sends it messages, one JSON object a line, each answered by
one:

- `{"do": "guard", "ward": {...}}`: guard a session, or guard it differently
- `{"do": "change", "session_id": ..., "outcome": "close"}`
- `{"do": "discharge", "session_id": ...}`
- the answer to each: `{"guarded": how many sessions}`

A ward holds the requests that end its session, ready to be sent but for the token. The process
ends when it guards nothing any more: after its answer to the last discharge, when every session is
released, or `GIVE_UP_SECONDS` after the flow's process died, whatever still hangs then.

It prints nothing: nobody is left to read it. A session that it could not release is still in the
ledger, since only a confirmed release removes it, and so the reaper and people find it there.
"""

import contextlib

# Not used by name: resolving a host imports it, and that must not wait until the disk is gone.
import encodings.idna  # noqa: F401
import functools
import json
import os
import random
import select
import signal
import ssl
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

GIVE_UP_SECONDS = 300.0
REQUEST_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 20.0
REFUSALS = 4
"""How often the service may refuse the key before that is believed."""
DELIVERY_TRIES = 6
"""To tell the Prefect API of a release, and to strike it from the ledger there."""
OCCURRED = "{occurred}"
"""Stands for the time in what is told; as in `prefect_api.requests`, which is not imported here."""

UNKNOWN = 404
CONFIRMED = frozenset({*range(200, 300), UNKNOWN})
"""Done, or no such session: either way it is not open."""
REFUSED = frozenset({401, 403})
DECIDED = CONFIRMED | frozenset(range(400, 500)) - {408, 425, 429}

IGNORED_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP", "SIGPIPE")
"""Those that a terminal, a supervisor or a shutdown sends to whatever belongs to the flow."""

Message = dict[str, Any]
Send = Callable[..., tuple[int | None, bytes]]
Wait = Callable[[float], object]
Chance = Callable[[], float]


# -- what next, and when


def pause_after(tries: int, chance: float) -> float:
    """
    Return for how many seconds to wait after so many tries.

    Pauses double, up to `LONGEST_PAUSE_SECONDS`; `chance`, from 0 to 1, moves each by up to a half,
    so that the guardians of one broken machine do not all ask at the same moment.
    """
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(tries - 1, 16)
    return min(LONGEST_PAUSE_SECONDS, doubled) * (0.5 + chance)


def release(
    ward: Message,
    *,
    send: Send,
    clock: Callable[[], float],
    wait: Wait,
    chance: Chance,
    date: Callable[[], str],
) -> bool:
    """
    End a ward's session, tell of it, and strike it from the ledger; return whether it is over.

    Repeated until the service has confirmed, refused for good, or it is too late. Nothing is told,
    or struck from the ledger, before the service has confirmed; of a session that the service does
    not know, nothing is told.
    """
    began = clock()
    authorization = None
    tries = refusals = 0
    while True:
        authorization = authorization or _bearer(send(ward["token"]))
        # The service takes the bare key as well: the way out when the identity service is down.
        status, _ = send(
            ward[ward["outcome"]], Authorization=authorization or f"apikey {ward['api_key']}"
        )
        if status in CONFIRMED:
            break
        tries += 1
        if status in REFUSED:
            refusals += 1
            authorization = None
        pause = pause_after(tries, chance())
        if refusals >= REFUSALS or clock() - began + pause > GIVE_UP_SECONDS:
            return False
        wait(pause)
    if (tell := ward["tell"].get(ward["outcome"])) and status != UNKNOWN:
        told = {**tell, "body": tell["body"].replace(OCCURRED, date())}
        deliver(told, send, wait, chance)
    if forget := ward["forget"]:
        deliver(forget, send, wait, chance)
    return True


def deliver(request: Message, send: Send, wait: Wait, chance: Chance) -> bool:
    """
    Send a request to the Prefect API until it is confirmed; return whether it was.

    An API on SQLite answers 503 while its database is locked. Given up after some eight seconds of
    pauses, or two without an answer: the session is over, and the reaper strikes what is left.
    """
    unanswered = 0
    for tries in range(DELIVERY_TRIES):
        if tries:
            wait(pause_after(tries, chance()))
        status, _ = send(request)
        unanswered += status is None
        if status in DECIDED or unanswered > 1:
            return status in CONFIRMED
    return False


def _bearer(answer: tuple[int | None, bytes]) -> str | None:
    """Return the `Authorization` of a token; None if the identity service gave none."""
    try:
        return f"Bearer {json.loads(answer[1])['access_token']}" if answer[0] in CONFIRMED else None
    except (ValueError, KeyError, TypeError):
        return None


# -- one request


@functools.cache
def _trust(certificates: str | None) -> ssl.SSLContext:
    """Return how the other side is checked: not at all if None, as the account asks for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if certificates is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if os.path.isdir(certificates):  # noqa: PTH112 - pathlib would add to what stays in memory
            context.load_verify_locations(capath=certificates)
        else:
            context.load_verify_locations(cafile=certificates)
    except OSError:
        # What the flow's side has used a moment ago cannot be read: the system's own may do.
        context.load_default_certs()
    return context


@functools.cache
def _opener(
    scheme: str, proxy: str | None, certificates: str | None
) -> urllib.request.OpenerDirector:
    # It follows no redirect of a PATCH or DELETE, and takes no body along with that of a POST: the
    # key goes to the address it was meant for.
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler({scheme: proxy} if proxy else {})
    ]
    if scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=_trust(certificates)))
    return urllib.request.build_opener(*handlers)


def _opener_for(request: Message) -> urllib.request.OpenerDirector:
    scheme = urllib.parse.urlsplit(request["url"]).scheme
    return _opener(scheme, request["proxy"], request["certificates"])


def send_request(request: Message, **headers: str) -> tuple[int | None, bytes]:
    """Send a request; return the status and the body, None if the other side did not answer."""
    body = request["body"]
    prepared = urllib.request.Request(  # noqa: S310 - an address of the flow's own configuration
        request["url"],
        method=request["method"],
        headers={**request["headers"], **headers},
        data=None if body is None else body.encode(),
    )
    try:
        with _opener_for(request).open(prepared, timeout=REQUEST_SECONDS) as answer:
            return answer.status, answer.read(2**20)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, b""
    # Whatever went wrong, there is nothing else to do than to try again.
    except Exception:  # noqa: BLE001
        return None, b""


# -- what is guarded


def obey(message: Message, wards: dict[str, Message]) -> None:
    """Do to the wards as a message says; what is not there cannot be changed or discharged."""
    match message["do"]:
        case "guard":
            ward = message["ward"]
            requests = map(ward.get, ("token", "close", "cancel", "forget"))
            for request in filter(None, (*requests, *ward["tell"].values())):
                # Certificates are read now: the disk may go away with the flow's process.
                _opener_for(request)
            wards[ward["session_id"]] = ward
        case "change" if ward := wards.get(message["session_id"]):
            ward["outcome"] = message["outcome"]
        case "discharge":
            wards.pop(message["session_id"], None)


def guard(pidfd: int | None, commands: int, answers: int) -> dict[str, Message]:
    """
    Do as the flow's side says until its process is gone; return what is left to be released.

    The pidfd tells, where there is one. The end of the commands does not: whatever the flow's
    process has forked may hold its end open, or its side may have closed it. Waits without a
    timeout, so it costs nothing meanwhile.
    """
    wards: dict[str, Message] = {}
    unread = b""
    poll = select.poll()
    poll.register(commands, select.POLLIN)
    if pidfd is not None:
        poll.register(pidfd, select.POLLIN)
    reading = True
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if commands in ready:
            received = os.read(commands, 65536)
            *lines, unread = (unread + received).split(b"\n")
            for line in lines:
                obey(json.loads(line), wards)
                answer = json.dumps({"guarded": len(wards)}) + "\n"
                # Whoever sent it may be dead by now.
                with contextlib.suppress(OSError):
                    os.write(answers, answer.encode())
            reading = bool(received)
            if not reading:
                poll.unregister(commands)
            if not wards and (lines or not reading):
                return wards
        # Only once all it has sent is read: a session may have been its last word.
        is_unread = reading and select.select([commands], [], [], 0.0)[0]
        if (pidfd in ready and not is_unread) or (pidfd is None and not reading):
            return wards


# -- the process


def main() -> None:
    """Guard, then release, and be gone within `GIVE_UP_SECONDS` of the flow's process."""
    for name in IGNORED_SIGNALS:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    pidfd = int(sys.argv[2]) if len(sys.argv) > 2 else None  # noqa: PLR2004 - see process.py
    wards = guard(pidfd, sys.stdin.fileno(), sys.stdout.fileno())
    until = time.monotonic() + GIVE_UP_SECONDS
    how: dict[str, Any] = {
        "send": send_request,
        "clock": time.monotonic,
        "wait": time.sleep,
        "chance": random.random,
        "date": lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    releases = [
        threading.Thread(target=release, args=(ward,), kwargs=how, daemon=True)
        for ward in wards.values()
    ]
    for thread in releases:
        thread.start()
    for thread in releases:
        thread.join(max(0.0, until - time.monotonic()))


if __name__ == "__main__":
    try:
        main()
    finally:
        # Without waiting for a thread that still hangs in a request.
        os._exit(0)
