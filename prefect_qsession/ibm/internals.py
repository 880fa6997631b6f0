"""
The door to what the Runtime client has, but does not offer.

Nothing else in this package imports a half-public name of the client's, or asks one of its objects
for one. Each stands here with why it is used, and with what is done where the client has it no
more, by public names alone: the same results, only slower. `QSESSION_PUBLIC_NAMES_ONLY=1` in the
environment of a process hides them all; that is how tests hold this, and what helps when a new
version of the client has changed what is meant by one. It is read once, at import.

Also here: what has moved between the versions of the client, or will.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass, replace
from functools import cache, partial
from importlib import import_module
from typing import Any, NamedTuple

import qiskit_ibm_runtime
from qiskit_ibm_runtime import Executor, QiskitRuntimeService, QuantumProgram
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.options_models import EstimatorOptions, ExecutorOptions, SamplerOptions
from requests import Session as HTTPSession
from samplomatic.samplex import Samplex
from samplomatic.serialization import samplex_to_json

from prefect_qsession.config.tested import NEWEST_TESTED_CLIENT, is_newer
from prefect_qsession.ibm.addresses import AddressedAuthenticator, Addresses, in_environment

PUBLIC_NAMES_ONLY = "QSESSION_PUBLIC_NAMES_ONLY"
"""The environment variable that hides the names."""

are_hidden = os.environ.get(PUBLIC_NAMES_ONLY, "") not in ("", "0")

_logger = logging.getLogger("prefect.qsession.ibm")


def _found(module: str, name: str) -> Any:
    """Return what a module of the client has by this name; None if it has not, or is not asked."""
    if are_hidden:
        return None
    try:
        return getattr(import_module(f"qiskit_ibm_runtime.{module}"), name, None)
    except ImportError:
        return None


# -- The generations of primitives

CLIENT_SIDE = {
    "estimator": (Estimator, EstimatorOptions),
    "sampler": (Sampler, SamplerOptions),
    "executor": (Executor, ExecutorOptions),
}
"""Those that do their pre- and post-processing here, and send program `executor`; and options."""


def _legacy() -> Iterator[tuple[str, tuple[Any, Any]]]:
    options = getattr(qiskit_ibm_runtime, "options", None)
    for kind in ("estimator", "sampler"):
        found = getattr(qiskit_ibm_runtime, f"{kind.capitalize()}V2", None)
        its_options = getattr(options, f"{kind.capitalize()}Options", None)
        # The client has announced that its name will mean the other generation.
        if its_options and found not in (None, CLIENT_SIDE[kind][0]):
            yield kind, (found, its_options)


LEGACY = dict(_legacy())
"""Those that leave it to the service; the client deprecates them since 0.50, and may have none."""

_UNSET = {type(getattr(options(), "default_shots", None)) for _, options in LEGACY.values()}
UNSET = _UNSET - {int, type(None)}
"""The type of each legacy option that is left alone: the client has no public name for it."""


# -- Programs
#
# Why: making an estimator's program takes 50 ms a job on 127 qubits, of which only the values
# change; and no public name makes one without submitting it. What is taken for granted of its form
# is compared with what the client makes before anything is sent (tests/unit/test_programs.py).
# Without: the client makes each anew.

_PREPARE = {
    kind: _found(f"executor_{kind}.prepare", "prepare") for kind in ("estimator", "sampler")
}
_ROLE = "_semantic_role"
"""Says which result the client makes of the program's. Its primitives set it when they run."""
_ROLES = {"estimator": "estimator_v2", "sampler": "sampler_v2"}


def makes_programs(kind: str) -> bool:
    """Whether `prepared` knows how programs of this kind are made."""
    return _PREPARE.get(kind) is not None


def prepared(
    kind: str, pubs: Sequence[Any], options: EstimatorOptions | SamplerOptions
) -> tuple[QuantumProgram, ExecutorOptions]:
    """
    Return the program as the client's primitive submits it, and the options.

    Raises:
        Exception: Whatever the client raises, or does not know any more.
    """
    program, executor_options = _PREPARE[kind](pubs, options)
    if not hasattr(program, _ROLE):
        raise AttributeError(_ROLE)
    setattr(program, _ROLE, _ROLES[kind])
    return program, executor_options


def role(program: QuantumProgram) -> Any:
    """Return which result the client makes of the program's."""
    return getattr(program, _ROLE)


def give_role(program: QuantumProgram, taken_from: QuantumProgram) -> None:
    """Have the client make the same kind of result of both programs."""
    setattr(program, _ROLE, role(taken_from))


# -- What is sent of a program
#
# Why: writing it takes another 7 ms a job, and `Executor` looks for who does that in a private
# place. Without: `CONVERTER` is None, and the client writes each anew (the same tests).

_CONVERTERS = _found("quantum_program.params_converters", "QUANTUM_PROGRAM_PARAMS_CONVERTERS") or {}
_VERSION = "_SCHEMA_VERSION"
_OURS = "of prefect-qsession"
_PARTS = ("model", "decoder", "encoder")

CONVERTER: Any = _CONVERTERS.get(getattr(Executor, _VERSION, None))
"""The client's own, with these parts; None if it is not known."""
if not (is_dataclass(CONVERTER) and all(hasattr(CONVERTER, part) for part in _PARTS)):
    CONVERTER = None


def executor_with(encoder: Callable[[QuantumProgram, ExecutorOptions], Any]) -> Any:
    """Return the client's `Executor`, which sends what `encoder` returns, if that can be had."""
    if CONVERTER is None:
        return Executor
    # One more entry beside the client's own, for this class alone.
    _CONVERTERS[_OURS] = replace(CONVERTER, encoder=encoder)
    return type("EncodedExecutor", (Executor,), {_VERSION: _OURS})


# -- What sends the requests
#
# Why: the client takes no adapter of `requests`, one for each instance. Its own repeats submissions
# after any 5xx, so that one job becomes two, and waits for ever (`test_every_request_of_a_service_
# goes_by_our_adapter`). But each becomes the active one before it sends anything.
# Also: an account with addresses of its own (the emulator, a private cloud) can tell the client so
# only by the environment, where whoever connects meanwhile reads them (`test_what_connects_
# meanwhile_reads_no_address_of_another_account`).
# Without: `senders` is empty, and requests go the client's way. Jobs that it has made twice are
# found by their tags, for which the service is asked after each submission. The addresses are in
# the environment while a service is made.

Equip = Callable[[HTTPSession, str], None]
"""Called with what sends the requests of one instance, and the instance's CRN."""


_ACCOUNT = _found("accounts.account", "Account")
_ADDRESSABLE = hasattr(_ACCOUNT, "get_iam_authentificator") and all(
    hasattr(QiskitRuntimeService, name)
    for name in ("_discover_account", "_get_crn_from_instance_name")
)


class _EquippedService(QiskitRuntimeService):  # type: ignore[misc]  # the client ships no types
    def __init__(self, equip: Equip, addresses: Addresses, **arguments: Any) -> None:
        self._equip = equip
        self._addresses = addresses
        super().__init__(**arguments)

    @property
    def _active_api_client(self) -> Any:
        return self._sender

    @_active_api_client.setter
    def _active_api_client(self, client: Any) -> None:
        if (sender := _sender(client)) is None:
            raise _MovedError
        self._equip(sender, str(client._instance))  # noqa: SLF001 - see above
        self._sender = client

    def _discover_account(self, **arguments: Any) -> Any:
        return self._addressed(super()._discover_account(**arguments))

    def _get_crn_from_instance_name(self, account: Any, instance: str) -> Any:
        # Of an instance that is given by its name, in the middle of the above.
        return super()._get_crn_from_instance_name(self._addressed(account), instance)

    def _addressed(self, account: Any) -> Any:
        """Have the account's instances be looked for where it has them."""
        addresses = self._addresses.beside(account.url)

        class AddressedAccount(_ACCOUNT):  # type: ignore[misc,valid-type]  # as it is found
            def get_iam_authentificator(self) -> Any:
                return AddressedAuthenticator(super().get_iam_authentificator(), addresses)

        account.__class__ = AddressedAccount
        return account


class _MovedError(Exception):
    """This version of the client keeps what sends its requests in a place unknown here."""


def service_with(equip: Equip, addresses: Addresses, **arguments: Any) -> QiskitRuntimeService:
    """
    Return the client's service; whatever sends its requests is equipped first, if it can be had.

    Args:
        equip: May be called again for what it has seen.
        addresses: Where the account is.
        arguments: What the client's own takes.
    """
    if _ADDRESSABLE:
        with suppress(_MovedError):
            return _EquippedService(equip, addresses, **arguments)
    with in_environment(addresses):
        return QiskitRuntimeService(**arguments)


def senders(service: QiskitRuntimeService) -> Mapping[str, HTTPSession]:
    """Return what sends the requests of each instance that the service knows; tells if nothing."""
    clients = {} if are_hidden else getattr(service, "_api_clients", {})
    found = {crn: _sender(client) for crn, client in clients.items()}
    known = {crn: sender for crn, sender in found.items() if sender is not None}
    if not known:
        _tell_of_the_clients_own_way()
    return known


def _sender(client: Any) -> HTTPSession | None:
    found = getattr(client, "_session", None)
    return found if isinstance(found, HTTPSession) and hasattr(client, "_instance") else None


@cache
def _tell_of_the_clients_own_way() -> None:
    _logger.warning(
        "Requests go the client's own way: slower, and without a time limit. It may submit a job "
        "twice, so each submission is followed by a look for another job of the same request. %s",
        f"{PUBLIC_NAMES_ONLY} is set."
        if are_hidden
        else "This version of qiskit-ibm-runtime keeps what sends them in a place unknown here.",
    )


# -- What jobs were charged
#
# Why: the public `jobs()` reads it and drops it. Without: each job that is asked about costs a
# request (`test_what_jobs_were_charged_is_read_with_one_request`).


class ListedJob(NamedTuple):
    """A job of the service's list."""

    job_id: str
    tags: Sequence[str]
    usage: Callable[[], Mapping[str, Any]]
    """Returns what it was charged, in the service's own words."""


def listed_jobs(
    service: QiskitRuntimeService, tag: str, *, limit: int, skip: int
) -> list[ListedJob]:
    """Return the jobs of the active instance that carry a tag, the latest first."""
    client = None if are_hidden else getattr(service, "_active_api_client", None)
    if (read := getattr(client, "jobs_get", None)) is None:
        jobs = service.jobs(limit=limit, skip=skip, job_tags=[tag])
        return [ListedJob(job.job_id(), job.tags or (), partial(_usage, job)) for job in jobs]
    page = read(limit=limit, skip=skip, job_tags=[tag])["jobs"]
    return [ListedJob(it["id"], it.get("tags") or (), partial(it.get, "usage")) for it in page]


def _usage(job: Any) -> Any:
    return job.metrics().get("usage")


# -- The content of a samplex
#
# Why: what is written of it has a circuit in it, whose parameters have other ids in each process,
# and how it is laid out says nobody. Without: None, and a job with one is not recognised by a later
# attempt (tests/unit/test_fingerprints.py).


def samplex_content(samplex: Samplex) -> tuple[Any, str] | None:
    """Return its graph, which is stable, and its expressions as QPY in Base64; None if unknown."""
    if are_hidden:
        return None
    graph = json.loads(samplex_to_json(samplex))
    try:
        table = json.loads(graph["attrs"].pop("param_table"))
        del graph["attrs"]["samplomatic_version"]
        return graph, table["circuit_base64"]
    except KeyError:
        return None


@cache
def tell_if_untested() -> None:
    """Log, once in a process, that this client is newer than those that were tested."""
    installed = str(qiskit_ibm_runtime.__version__)
    if is_newer(installed, NEWEST_TESTED_CLIENT):
        _logger.warning(
            "qiskit-ibm-runtime %s is newer than the newest tested here (%s). If something does "
            "not work as it did, set %s=1 in the environment, or install an older one.",
            *(installed, NEWEST_TESTED_CLIENT, PUBLIC_NAMES_ONLY),
        )
