"""What the Prefect API has of what session flows need: blocks, policy, ledger, who reaps."""

from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import prefect
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import DeploymentStatus
from prefect.events.actions import ChangeFlowRunState
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from pydantic import ValidationError

from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.credentials import QiskitRuntimeCredentials
from prefect_qsession.doctor.findings import (
    Finding,
    judge_heartbeat_automation,
    judge_ledger,
    judge_reaper,
    judge_server_version,
    ok,
    problem,
    skipped,
    warning,
)
from prefect_qsession.exceptions import ConfigurationError, LedgerUnavailable, UnknownLimit
from prefect_qsession.policies import resolve_policy
from prefect_qsession.prefect_api.blocks import load_block
from prefect_qsession.prefect_api.clients import short_timeout_client
from prefect_qsession.release.ledger import PrefectLedger
from prefect_qsession.release.processes import liveness
from prefect_qsession.release.reaping import ReaperDecision, observe
from prefect_qsession.settings import QSessionSettings

REAPER = "reap-sessions"
"""Name of the flow in flows/reap_sessions.py."""


def check_api() -> Generator[Finding, None, dict[str, timedelta] | None]:
    """Reach the Prefect API; return how far this clock is ahead of its, if it tells; else None."""
    url = PREFECT_API_URL.value()
    if not url:
        yield problem(
            "Prefect API",
            "PREFECT_API_URL is not set: each process would start a server of its own",
            "prefect server start, and export PREFECT_API_URL=http://127.0.0.1:4200/api: no other "
            "process finds an open session in a server that ends with the flow.",
        )
        return None
    shown = _without_password(url)
    try:
        with short_timeout_client() as client:
            answer = client.request("GET", "/admin/version")
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            yield _refused(shown, error.response.status_code)
            return None
        # Prefect Cloud does not tell its version.
        yield ok("Prefect API", shown)
        return _ahead_of(error.response)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, RuntimeError, ValueError) as error:
        yield problem(
            "Prefect API",
            f"{shown} cannot be reached ({type(error).__name__})",
            "Start the server, prefect server start, or set PREFECT_API_URL to where it is.",
        )
        return None
    yield ok("Prefect API", shown)
    yield judge_server_version(str(answer.json()), prefect.__version__)
    return _ahead_of(answer)


def check_block(name: str | None) -> Generator[Finding, None, QiskitRuntimeCredentials | None]:
    """Load the credentials block; without a name, the only one that is saved."""
    if name is None:
        saved = _saved_blocks()
        if not saved:
            yield problem(
                "block",
                "no QiskitRuntimeCredentials block is saved",
                "QiskitRuntimeCredentials(...).save('ibm') in Python, or in the UI under Blocks.",
            )
            return None
        if len(saved) > 1:
            yield warning(
                "block",
                f"several are saved, and no setting says which: {', '.join(saved)}",
                f"qsession doctor {saved[0]} looks at one; flows name theirs, or "
                "PREFECT_INTEGRATIONS_QSESSION_CREDENTIALS does.",
            )
            return None
        [name] = saved
    try:
        block = load_block(QiskitRuntimeCredentials, name)
    except ConfigurationError as error:
        yield problem("block", *_found_and_advice(error))
        return None
    yield ok("block", name)
    return block


def check_settings() -> Generator[Finding, None, QSessionSettings | None]:
    """Read the settings; tell only of those that cannot be read."""
    try:
        return QSessionSettings()
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        yield problem(
            "policy",
            f"these settings are of the wrong kind: {wrong}",
            "Mend PREFECT_INTEGRATIONS_QSESSION_..., or [integrations.qsession] in prefect.toml.",
        )
        return None


def check_policy() -> Generator[Finding, None, ResolvedPolicy | None]:
    """Resolve the policy of flows whose code says nothing, and look for what it names."""
    try:
        policy = resolve_policy({}, None)
        if policy.concurrency_limit:
            with short_timeout_client() as client:
                _look_for_limit(client, policy.concurrency_limit)
    except ConfigurationError as error:
        yield problem("policy", *_found_and_advice(error))
        return None
    limit = f", limited by {policy.concurrency_limit}" if policy.concurrency_limit else ""
    yield ok("policy", f"{policy.mode}, max_time {policy.max_time_seconds} s{limit}")
    return policy


def check_watch() -> Iterator[Finding]:
    """Look for sessions that were left open, and for what would release them."""
    try:
        yield _ledger()
    except LedgerUnavailable as error:
        yield problem("ledger", str(error), "No session is opened that cannot be recorded.")
    with short_timeout_client() as client:
        found = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[REAPER])))
        yield judge_reaper([_told(deployment) for deployment in found])
        try:
            yield judge_heartbeat_automation(_automations(client))
        except (httpx.HTTPError, ValueError) as error:
            yield skipped(
                "lost heartbeats", f"The automations cannot be read: {type(error).__name__}."
            )


def _ledger() -> Finding:
    ledger = PrefectLedger()
    found = observe(ledger, ledger.entries(), liveness)
    left_open = sum(each.decision is not ReaperDecision.KEEP for each in found)
    return judge_ledger(len(found), left_open)


def _told(deployment: Any) -> tuple[str, bool, bool]:
    scheduled = not deployment.paused and any(each.active for each in deployment.schedules)
    return deployment.name, scheduled, deployment.status is DeploymentStatus.READY


def _automations(client: SyncPrefectClient) -> list[str]:
    return [
        automation.name
        for automation in client.read_automations()
        if automation.enabled
        and any(
            isinstance(action, ChangeFlowRunState) and action.state == "CRASHED"
            for action in automation.actions
        )
    ]


def _saved_blocks() -> list[str]:
    with short_timeout_client() as client:
        try:
            slug = QiskitRuntimeCredentials.get_block_type_slug()
            documents = client.read_block_documents_by_type(slug, include_secrets=False)
        except ObjectNotFound:
            return []
    return sorted(document.name for document in documents if document.name)


def _look_for_limit(client: SyncPrefectClient, name: str) -> None:
    try:
        client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound as error:
        raise UnknownLimit(name) from error


def _refused(url: str, status: int) -> Finding:
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return problem(
            "Prefect API",
            f"{url} refuses us ({status})",
            "Set PREFECT_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud, as the server "
            "wants it.",
        )
    return problem(
        "Prefect API",
        f"{url} answered {status}",
        "Look into the server's log, and whether PREFECT_API_URL ends in /api.",
    )


def _ahead_of(answer: httpx.Response) -> dict[str, timedelta]:
    date = answer.headers.get("date")
    return {"the Prefect API": datetime.now(UTC) - parsedate_to_datetime(date)} if date else {}


def _without_password(url: str) -> str:
    parsed = httpx.URL(url)
    return str(parsed.copy_with(username=None, password=None)) if parsed.userinfo else url


def _found_and_advice(error: ConfigurationError) -> tuple[str, str]:
    """Part the message of an error of ours: what happened, then what to do."""
    found, _, advice = str(error).removesuffix(".").partition(". ")
    return found, f"{advice or 'Mend it where it was said: in the block, or in a setting'}."
