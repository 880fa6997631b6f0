"""
The ledger of open sessions, kept in the Prefect API: one variable for each open session.

Any process that can reach the API finds it, whatever became of the flow's own process or machine,
and its size is that of what is open, not of what ever was. An entry names the session, its flow run
and its process; it holds no secret.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.client.schemas.objects import Variable
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.logging.loggers import get_logger
from pydantic import TypeAdapter, ValidationError

from prefect_qsession.exceptions import LedgerUnavailable
from prefect_qsession.prefect_api.clients import bare_request, short_timeout_client
from prefect_qsession.prefect_api.owners import TAG
from prefect_qsession.prefect_api.requests import HttpRequest
from prefect_qsession.release.records import FlowRunProgress, LedgerEntry

VERSION = 1
"""Of what a variable holds; another one is left alone, and told of in the log."""
PAGE = 200
"""The most that the API gives at once."""
LONGEST_NAME = 200
"""Of what others have named; the API takes 5000 characters for all."""

_ENTRY = TypeAdapter(LedgerEntry)


class PrefectLedger:
    """
    Keep the entries of open sessions in the Prefect API; every method is thread-safe.

    It holds no connection, so it may be made anywhere, also in async code, where a call blocks, and
    survives a fork. Each call takes as long as `short_timeout_client` does at the most. All raise
    `LedgerUnavailable` when the API does not answer, or refuses.
    """

    def __init__(self) -> None:
        self._beats = count(1)

    def record(self, entry: LedgerEntry) -> None:
        """
        Keep an entry, in the place of an earlier one of the same session; safe to repeat.

        Raises:
            LedgerUnavailable: It is not certain that the entry is kept.
        """
        name, value, tags = _name(entry.session_id), _value(entry), _tags(entry)
        with _api(f"record session {entry.session_id}", entry.session_id) as client:
            try:
                client.create_variable(VariableCreate(name=name, value=value, tags=tags))
            except ObjectAlreadyExists:
                # A later attempt of the flow run, or this request, repeated after a lost reply.
                client.update_variable(VariableUpdate(name=name, value=value, tags=tags))

    def beat(self, entry: LedgerEntry) -> bool:
        """
        Send a sign of life, unlike any this ledger has sent; return False if the entry is gone.

        Raises:
            LedgerUnavailable: It may not have been heard.
        """
        living = replace(entry, beat=entry.beat + next(self._beats))
        with _api(f"send a heartbeat of session {entry.session_id}", entry.session_id) as client:
            try:
                client.update_variable(
                    VariableUpdate(name=_name(entry.session_id), value=_value(living))
                )
            except httpx.HTTPStatusError as error:
                if error.response.status_code == httpx.codes.NOT_FOUND:
                    return False
                raise
        return True

    def forget(self, session_id: str) -> None:
        """
        Drop the entry of a session, if there is one; safe to repeat.

        Raises:
            LedgerUnavailable: It may still be there.
        """
        with _api(f"forget session {session_id}", session_id) as client:
            try:
                client.delete_variable_by_name(_name(session_id))
            except ObjectNotFound:
                return

    def forget_request(self, session_id: str) -> HttpRequest | None:
        """
        Return the bare request that forgets a session, for a process that is without Prefect.

        As `bare_request` makes it. Where the API refuses it, the reaper forgets instead.
        """
        return bare_request("DELETE", f"/variables/name/{_name(session_id)}")

    def find(self, session_id: str) -> LedgerEntry | None:
        """Return the entry of a session; None if it has none."""
        with _api(f"find session {session_id}", session_id) as client:
            variable = client.read_variable_by_name(_name(session_id))
        return next(iter(_read([variable] if variable else [])), None)

    def entries(self, flow_run_id: UUID | None = None) -> list[LedgerEntry]:
        """
        Return all entries, or those whose flow run, or root flow run, this is; none twice.

        Asks once for each 200 of them. One may be missed when others leave meanwhile; the next
        call finds it. Variables of ours that cannot be read are left out, with a warning.

        Raises:
            LedgerUnavailable: The list could not be read to its end.
        """
        tags = [TAG] if flow_run_id is None else [TAG, _flow_run_tag(flow_run_id)]
        wanted = {"variables": {"tags": {"all_": tags}}, "sort": "NAME_ASC"}
        with _api("read the entries") as client:
            found = Variable.model_validate_list(list(_pages(client, "/variables/filter", wanted)))
        return _read({variable.name: variable for variable in found}.values())

    def flow_runs(self, flow_run_ids: Iterable[UUID]) -> dict[UUID, FlowRunProgress]:
        """
        Return how far these flow runs are; those that do not exist are left out.

        Asks once for each 200 of them.
        """
        ids = [str(flow_run_id) for flow_run_id in flow_run_ids]
        found: list[dict[str, Any]] = []
        if ids:
            with _api("read the flow runs") as client:
                for start in range(0, len(ids), PAGE):
                    these = {
                        "flow_runs": {"id": {"any_": ids[start : start + PAGE]}},
                        "limit": PAGE,
                    }
                    found += client.request("POST", "/flow_runs/filter", json=these).json()
        return {
            UUID(flow_run["id"]): FlowRunProgress(flow_run["state_type"], flow_run["run_count"])
            for flow_run in found
        }


@contextmanager
def _api(doing: str, session_id: str | None = None) -> Iterator[SyncPrefectClient]:
    """Give a client that does not wait for long; name what it raises a `LedgerUnavailable`."""
    try:
        with short_timeout_client() as client:
            yield client
    except httpx.HTTPStatusError as error:
        answer = f"the API answered {error.response.status_code}."
        raise LedgerUnavailable(doing, answer, session_id) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, RuntimeError, ValueError) as error:
        reason = f"the API cannot be reached, or understood ({type(error).__name__})."
        raise LedgerUnavailable(doing, reason, session_id) from error


def _pages(
    client: SyncPrefectClient, path: Any, wanted: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for offset in count(0, PAGE):
        page = client.request("POST", path, json={**wanted, "limit": PAGE, "offset": offset}).json()
        yield from page
        if len(page) < PAGE:
            return


def _name(session_id: str) -> str:
    # The API takes lower-case letters, digits, dashes and underscores.
    return f"qsession_{re.sub('[^a-z0-9]', '_', session_id.lower())}"


def _tags(entry: LedgerEntry) -> list[str]:
    flow_run_ids = dict.fromkeys((entry.flow_run_id, entry.root_flow_run_id))
    return [TAG, *map(_flow_run_tag, flow_run_ids)]


def _flow_run_tag(flow_run_id: UUID) -> str:
    return f"flow-run:{flow_run_id}"


def _value(entry: LedgerEntry) -> dict[str, Any]:
    short = replace(
        entry,
        flow_run_name=entry.flow_run_name[:LONGEST_NAME],
        process=replace(entry.process, host=entry.process.host[:LONGEST_NAME]),
    )
    fields = _ENTRY.dump_python(short, mode="json", exclude={"heartbeat_at"})
    return {"version": VERSION, **fields}


def _read(variables: Iterable[Variable]) -> list[LedgerEntry]:
    entries: list[LedgerEntry] = []
    unreadable: list[str] = []
    for variable in variables:
        value = variable.value
        if not isinstance(value, dict) or value.get("version") != VERSION:
            unreadable.append(variable.name)
            continue
        try:
            entry = _ENTRY.validate_python(value)
        except ValidationError:
            unreadable.append(variable.name)
            continue
        entries.append(replace(entry, heartbeat_at=variable.updated))
    if unreadable:
        get_logger("qsession.ledger").warning(
            "Left out of the ledger, because another version or hand has written them: %s. Delete "
            "them under Variables once their sessions are over.",
            ", ".join(unreadable),
        )
    return entries
