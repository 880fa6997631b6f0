"""
How the client's requests travel: repeated where that is safe, never without an end, and not at all
where the answer is known.

By itself the client repeats a POST after any 5xx, so that one job becomes two; gives up on a PATCH,
and on a POST that was only asked to come later; and waits for an answer for ever. `install` puts
what is here in its place, by the two ways that `requests` has for this: an adapter and an
authentication handler.
"""

import io
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from qiskit_ibm_runtime import QiskitRuntimeService
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

from prefect_qsession.ibm.addresses import Addresses
from prefect_qsession.ibm.identity import TokenAuth
from prefect_qsession.ibm.internals import senders, service_with
from prefect_qsession.ibm.preflight import Preflight
from prefect_qsession.ibm.records import ServiceAccess
from prefect_qsession.ibm.retry_policy import (
    CONNECTING,
    RETRY_POLICY,
    RetryPolicy,
    TryResult,
    pause_before_repeat,
)

CONNECTIONS = 64
"""The most that are kept open to the service."""

_REFUSED = 401


class RetryingAdapter(HTTPAdapter):
    """
    Send requests, each until it has an answer that stands. Thread-safe.

    A fork of the process makes connections of its own: two that wrote into one would read each
    other's answers.

    A request whose token is refused is sent once more, with another one if there is any. When the
    time is up, the last answer is returned as it is, or the last error raised; its `request` is
    always known.

    Args:
        auth: Where another token comes from.
        retry_policy: How often, and how long.
        clock: Seconds that only grow.
        wait: Called with the seconds of a pause.
        chance: Draws from 0 to 1.
    """

    # What `requests` keeps of an adapter that is copied, as `deepcopy(backend)` does.
    __attrs__ = [  # noqa: RUF012 - its type
        *HTTPAdapter.__attrs__,
        *("_auth", "_retry_policy", "_clock", "_wait", "_chance", "_preflight"),
    ]

    def __init__(
        self,
        auth: TokenAuth,
        retry_policy: RetryPolicy = RETRY_POLICY,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        # A connection for each thread that asks at once is kept open; more are let go after use.
        super().__init__(pool_maxsize=CONNECTIONS)
        self._auth = auth
        self._retry_policy = retry_policy
        self._clock = clock
        self._wait = wait
        self._chance = chance
        self._preflight = Preflight(clock)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Begin without connections, as `requests` does where an adapter is made or copied."""
        self._pid = os.getpid()
        super().init_poolmanager(*args, **kwargs)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,  # noqa: ARG002 - the client's own has no end
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """
        Send a request and return the last answer to it, whatever its status.

        Raises:
            RequestException: There was no answer, the last time.
        """
        if (known := self._preflight.answer(request)) is not None:
            return known
        if self._pid != os.getpid():
            # As a copy begins.
            self.__setstate__(self.__getstate__())
        began = self._clock()
        was_signed_anew = False
        for tries in count(1):
            result = self._try(request, stream=stream, verify=verify, cert=cert, proxies=proxies)
            refused = isinstance(result, Response) and result.status_code == _REFUSED
            if refused and not was_signed_anew:
                was_signed_anew = True
                self._auth.sign_anew(request)
                continue
            pause = pause_before_repeat(
                request.method,
                result,
                tries=tries,
                elapsed_seconds=self._clock() - began,
                retry_policy=self._retry_policy,
                chance=self._chance(),
            )
            if pause is None:
                break
            self._wait(pause)
        if isinstance(result, Response):
            self._preflight.keep(request, result)
            return result
        raise result

    def _try(self, request: PreparedRequest, *, stream: bool, **options: Any) -> TryResult:
        is_job = request.method == "POST" and request.path_url.endswith("/jobs")
        retry_policy = self._retry_policy
        silence_seconds = retry_policy.submit_seconds if is_job else retry_policy.read_seconds
        body = request.body
        if isinstance(body, str | bytes):
            # Given whole, it would have to be sent whole within the time limit of one piece.
            request.body = io.BytesIO(body.encode() if isinstance(body, str) else body)
        try:
            response = super().send(
                request,
                stream=stream,
                timeout=(retry_policy.connect_seconds, silence_seconds),
                **options,
            )
            if not stream:
                # Here, where a body that does not come is still a request that can be repeated.
                _ = response.content
        except RequestException as error:
            # Not told by requests if it was the body that was lost.
            error.request = error.request or request
            return error
        else:
            return response
        finally:
            request.body = body


def patient_service(
    access: ServiceAccess, addresses: Addresses, **arguments: Any
) -> QiskitRuntimeService:
    """
    Return the client's service, whose requests travel as this module says from the first one on.

    Args:
        access: Whose requests, and where the identity service is; of any instance.
        addresses: Where the account's instances are found.
        arguments: What the client's own takes.
    """

    def equip(sender: Session, crn: str) -> None:
        if not isinstance(sender.auth, TokenAuth):
            _equip(sender, replace(access, instance_crn=crn), CONNECTING)

    return service_with(equip, addresses, **arguments)


def install(
    service: QiskitRuntimeService,
    access: ServiceAccess,
    retry_policy: RetryPolicy = RETRY_POLICY,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """
    Have the requests of a service travel by this policy from now on; asks nothing of anyone.

    Requests to instances that are named to it later go by its own.
    """
    for crn, sender in senders(service).items():
        _equip(sender, replace(access, instance_crn=crn), retry_policy, clock=clock, wait=wait)


def may_submit_twice(service: QiskitRuntimeService) -> bool:
    """Whether a submission may have made more than one job, because the client repeats them."""
    return not senders(service)


def _equip(
    sender: Session,
    access: ServiceAccess,
    retry_policy: RetryPolicy,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Put what is here in the client's place, by the two ways that `requests` has for it."""
    auth = TokenAuth(access, retry_policy, clock=clock)
    adapter = RetryingAdapter(auth, retry_policy, clock=clock, wait=wait)
    sender.auth = auth
    sender.mount("http://", adapter)
    sender.mount("https://", adapter)
