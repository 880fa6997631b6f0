"""
What is found, and what it means.

Pure judgements: each takes what was looked up elsewhere, and says how it stands and what to do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from packaging.requirements import Requirement

from prefect_qsession.config.modes import Mode
from prefect_qsession.config.policy import ResolvedPolicy
from prefect_qsession.config.tested import NEWEST_TESTED_CLIENT, is_newer
from prefect_qsession.ibm.records import InstanceDetails

CLOCK_TOLERANCE = timedelta(seconds=30)


class CheckStanding(StrEnum):
    """How a part stands."""

    OK = "ok"
    WARNING = "warning"
    """Session flows run, but something that should watch over them does not, or not as meant."""
    PROBLEM = "problem"
    """Session flows fail."""
    SKIPPED = "skipped"
    """Could not be looked at, because of what was found before."""


@dataclass(frozen=True)
class Finding:
    """How one part stands; it holds no secret."""

    check: str
    standing: CheckStanding
    found: str
    advice: str | None = None
    """What to do."""


def ok(check: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(check, CheckStanding.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """Return what a session flow survives, but should not have to."""
    return Finding(check, CheckStanding.WARNING, found, advice)


def problem(check: str, found: str, advice: str | None = None) -> Finding:
    """Return what a session flow fails at."""
    return Finding(check, CheckStanding.PROBLEM, found, advice)


def skipped(check: str, because: str) -> Finding:
    """Return what could not be looked at."""
    return Finding(check, CheckStanding.SKIPPED, because)


def judge_version(requirement: Requirement, installed: str | None) -> Finding:
    """Say whether an installed package is one that this one works with."""
    name, wanted = requirement.name, str(requirement.specifier)
    advice = f"pip install '{name}{wanted}'"
    if installed is None:
        return problem(name, "not installed", advice)
    if requirement.specifier.contains(installed, prereleases=True):
        if name == "qiskit-ibm-runtime" and is_newer(installed, NEWEST_TESTED_CLIENT):
            return warning(
                name,
                f"{installed}, newer than the newest tested, {NEWEST_TESTED_CLIENT}",
                "If session flows do not work as they did: QSESSION_PUBLIC_NAMES_ONLY=1 in their "
                f"environment, or pip install '{name}=={NEWEST_TESTED_CLIENT}.*'",
            )
        return ok(name, installed)
    return problem(name, f"{installed}, but {wanted} is needed", advice)


def judge_server_version(server: str, client: str) -> Finding:
    """Say whether the Prefect server is as new as the client that asks it."""
    if _minor(server) < _minor(client):
        return warning(
            "Prefect server",
            f"{server}, older than the {client} here: it may not understand what is asked.",
            f"Update the server to {client} or later, or install prefect=={server} here.",
        )
    return ok("Prefect server", server)


def judge_clocks(ahead: dict[str, timedelta]) -> Finding:
    """Say whether this machine's clock agrees with others; given how far ahead of each it is."""
    if not ahead:
        return skipped("clock", "No server has told the time.")
    whose, offset = max(ahead.items(), key=lambda item: abs(item[1]))
    if abs(offset) <= CLOCK_TOLERANCE:
        return ok("clock", f"as that of {' and '.join(ahead)}")
    seconds = offset.total_seconds()
    return warning(
        "clock",
        f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} that of {whose}",
        "Have this machine's clock set by the network (NTP): tokens are taken for valid or expired "
        "by it, and schedules and time limits go by it. Sessions are reaped without it.",
    )


def judge_usage(instance: InstanceDetails) -> Finding:
    """Say whether the instance has time left."""
    used = f"{instance.consumed_seconds:.0f} s used"
    if instance.limit_seconds is not None:
        used += f" of {instance.limit_seconds:.0f} s"
    if instance.limit_reached:
        return problem(
            "usage",
            f"{used}: the limit is reached, and no job runs",
            "Wait until usage leaves the window it is counted over, raise the instance's limit, or "
            "use a block for another instance.",
        )
    return ok("usage", used)


def judge_mode(instance: InstanceDetails, policy: ResolvedPolicy) -> Finding:
    """Say whether the plan allows the mode that flows here run in, if their code says nothing."""
    mode, plan, longest = policy.mode, instance.plan, instance.longest_batch_seconds
    if instance.has_sessions is None:
        return ok("modes", f"{mode}; what the plan allows is not known here")
    if instance.has_sessions:
        return ok("modes", f"{mode}; the {plan} plan has sessions, batches and jobs")
    if mode is Mode.SESSION:
        return problem(
            "modes",
            f"session, which the {plan} plan does not have",
            'Use mode="auto" (a batch, or jobs one by one): in the code, in a SessionPolicy block, '
            "or by PREFECT_INTEGRATIONS_QSESSION_MODE=auto.",
        )
    if longest is not None and policy.max_time_seconds > longest:
        shorter = f'Set max_time to "{longest // 60}m" or less'
        if mode is Mode.BATCH:
            return problem(
                "modes",
                f"batch with max_time {policy.max_time_seconds} s; the {plan} plan's end after "
                f"{longest} s",
                f'{shorter}, or mode to "job".',
            )
        if mode is Mode.AUTO and Mode.BATCH in policy.fallback:
            return warning(
                "modes",
                f"auto with max_time {policy.max_time_seconds} s: jobs will go one by one",
                f"{shorter} to have batches on the {plan} plan.",
            )
    return ok("modes", f"{mode}; the {plan} plan has batches and jobs, no sessions")


def judge_reaper(deployments: Sequence[tuple[str, bool, bool]]) -> Finding:
    """
    Say whether somebody reaps.

    Args:
        deployments: Of the reaper's flow: the name, whether a schedule is active, and whether a
            worker or `serve` process takes its runs.
    """
    deploy = (
        "Deploy flows/reap_sessions.py (docs/operations.md): without it, a session that a dead "
        "machine left open runs and bills what still waits in it, and stays open until max_time."
    )
    if not deployments:
        return warning("reaper", "not deployed", deploy)
    names = ", ".join(name for name, _, _ in deployments)
    if any(scheduled and served for _, scheduled, served in deployments):
        return ok("reaper", f"{names}, scheduled and served")
    if any(scheduled for _, scheduled, _ in deployments):
        return warning(
            "reaper",
            f"{names}: scheduled, but nobody runs it",
            "Start a worker for its work pool, or the process that serves it.",
        )
    return warning(
        "reaper",
        f"{names}: no schedule is active",
        "Resume its schedule in the UI, or deploy it anew.",
    )


def judge_heartbeat_automation(names: Iterable[str]) -> Finding:
    """Say whether flow runs of machines that died are called crashed, by automations so named."""
    if found := ", ".join(names):
        return ok("lost heartbeats", f"called crashes by {found}")
    return warning(
        "lost heartbeats",
        "no automation calls them crashes",
        "python -m deployments.automations (docs/operations.md): Prefect's server calls no flow "
        "run crashed when its machine dies, and so the reaper keeps its session.",
    )


def judge_ledger(open_sessions: int, left_open: int) -> Finding:
    """Say whether sessions are open that nobody will release."""
    if left_open:
        return warning(
            "ledger",
            f"{left_open} of {open_sessions} recorded sessions left open",
            "qsession reap releases them; qsession list shows whose they are.",
        )
    return ok("ledger", f"{open_sessions or 'no'} sessions recorded, none left open")


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
